"""Rain between walls."""


def held(heights: list[int]) -> int:
    """How much water stays between walls of those heights."""
    left, right = 0, len(heights) - 1
    left_most = right_most = total = 0
    while left < right:
        if heights[left] < heights[right]:
            left_most = max(left_most, heights[left])
            total += left_most - heights[left]
            left += 1
        else:
            right_most = max(right_most, heights[right])
            total += right_most - heights[right]
            right -= 1
    return total
