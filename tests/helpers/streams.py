"""What the images of a stream must be, one by one, to compare faster ways with."""

from orchestrator.data.auxiliary.order import Order


def row_at(order: Order, position: int) -> int:
    """The image at a position of the stream: its number in the manifest's order."""
    lane = position % order.lanes
    round_, done = order.entry(position, lane)
    window = order.at(round_, lane)
    index = int(order.within(window)[done])
    for stretch in order.stretches(window):
        if index < stretch.last - stretch.first:
            return int(order.starts[stretch.group]) + stretch.first + index
        index -= stretch.last - stretch.first
    raise AssertionError("a window is as long as its stretches")
