"""Rain between walls."""


def water_held(heights):
    """How much stays between the walls."""
    left, right = 0, len(heights) - 1
    left_top = right_top = 0
    held = 0
    while left < right:
        if heights[left] < heights[right]:
            left_top = max(left_top, heights[left])
            held += left_top - heights[left]
            left += 1
        else:
            right_top = max(right_top, heights[right])
            held += right_top - heights[right]
            right -= 1
    return held
