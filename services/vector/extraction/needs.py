"""What a reader needs before it can read: the text of pictures of pages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """page: from 0. data: a whole JPEG, JPEG 2000, TIFF or PNM file."""

    page: int
    data: bytes


class PicturesNeededError(Exception):
    """The document shows pictures of pages whose text nobody has recognised yet."""

    def __init__(self, pictures: list[Picture]) -> None:
        super().__init__(f"{len(pictures)} pictures of pages without text")
        self.pictures = pictures
