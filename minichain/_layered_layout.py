"""Places for the nodes of a layered graph: few crossings, short edges, nothing overlapping."""

GAP = 16            # between neighbours in a row
BEND = 8            # room for an edge that passes a row
MAX_BENDS = 8000    # of all long edges together; further ones run straight


def layout(widths, layers, edges):
    """Place nodes in rows.

    Long edges get a bend in every row that they pass. The order in the rows comes from sweeps
    that sort by the mean place of the neighbours (Sugiyama et al., 1981); the places themselves
    are least squares to that mean, without overlap.

    Args:
        widths: list of widths of the nodes.
        layers: list of ints from 0 up, the row of each node.
        edges: list of (from, to) node indices; to lies in a later row.
    Returns:
        tuple of: x of the centre of each node; for each edge the list of (x, layer) of its bends.
    """
    count = len(widths)
    widths, layers, chains, budget = list(widths), list(layers), [], MAX_BENDS
    for start, end in edges:
        bends = range(layers[start] + 1, layers[end])
        if len(bends) > budget:
            bends = ()
        budget -= len(bends)
        first = len(widths)
        widths += [BEND] * len(bends)
        layers += bends
        chains.append([start, *range(first, len(widths)), end])
    before, after = [[] for _ in widths], [[] for _ in widths]
    for chain in chains:
        for start, end in zip(chain, chain[1:]):
            before[end].append(start)
            after[start].append(end)
    rows = [[] for _ in range(max(layers, default=-1) + 1)]
    for node, layer in enumerate(layers):
        rows[layer].append(node)
    _order(rows, before, after)
    x = _places(rows, before, after, widths)
    left = min((x[node] - widths[node] / 2 for node in range(len(widths))), default=0)
    x = [place - left for place in x]
    return x[:count], [[(x[node], layers[node]) for node in chain[1:-1]] for chain in chains]


def _sweeps(rows, before, after, count):
    """Yield (row, neighbours) downwards and upwards in turn."""
    for k in range(count):
        for row in rows[::-1] if k % 2 else rows:
            yield row, after if k % 2 else before


def _order(rows, before, after):
    place = {}

    def number(row):
        for i, node in enumerate(row):
            place[node] = i - (len(row) - 1) / 2

    for row in rows:
        number(row)
    for row, neighbours in _sweeps(rows, before, after, 8):
        row.sort(key=lambda node: _mean(place, neighbours[node], place[node]))  # noqa: B023
        number(row)


def _places(rows, before, after, widths):
    x = [0.] * len(widths)
    for row in rows:
        gaps = _gaps(row, widths)
        for node, place in zip(row, _spread([0.] * len(row), gaps)):
            x[node] = place
    for row, neighbours in _sweeps(rows, before, after, 12):
        wanted = [_mean(x, neighbours[node], x[node]) for node in row]
        for node, place in zip(row, _spread(wanted, _gaps(row, widths))):
            x[node] = place
    return x


def _gaps(row, widths):
    return [(widths[a] + widths[b]) / 2 + GAP for a, b in zip(row, row[1:])]


def _mean(values, nodes, otherwise):
    return sum(values[node] for node in nodes) / len(nodes) if nodes else otherwise


def _spread(wanted, gaps):
    """Return places nearest to `wanted` in least squares that keep the order and the gaps.

    Without the gaps this is isotonic regression: neighbours that would pass each other are pooled.
    """
    offsets = [0.]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools = []   # (sum, count)
    for place, offset in zip(wanted, offsets):
        total, count = place - offset, 1
        while pools and pools[-1][0] * count > total * pools[-1][1]:
            earlier, number = pools.pop()
            total, count = total + earlier, count + number
        pools.append((total, count))
    level = [total / count for total, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(level, offsets)]
