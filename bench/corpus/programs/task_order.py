"""Orders tasks so that each comes after those that it needs."""


def task_order(needs):
    """Names in order, the alphabet decides among free ones; None when tasks wait for each other."""
    waiting = {task: len(required) for task, required in needs.items()}
    ready = sorted(task for task, count in waiting.items() if count == 0)
    order = []
    while ready:
        task = ready.pop(0)
        order.append(task)
        for other, required in needs.items():
            if task in required:
                waiting[other] -= 1
                if waiting[other] == 0:
                    ready.append(other)
        ready.sort()
    if len(order) < len(needs):
        return None
    return order
