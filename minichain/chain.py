"""Chain and ChainList: links made of links, by name or by position. Read ``link.py`` first."""
from minichain.errors import InvalidArgument, InvalidType
from minichain.link import Link


class Chain(Link):
    """A link made of named links: assign them inside ``init_scope``, or give them as keywords."""

    def __init__(self, **links):
        super().__init__()
        self._children = set()
        for name, link in links.items():
            self.add_link(name, link)

    def __getitem__(self, name):
        """Return the child link ``name``."""
        if name not in self._children:
            raise KeyError(f'{type(self).__name__} has no link {name!r}; there are: '
                           f'{", ".join(sorted(self._children)) or "none"}')
        return getattr(self, name)

    def __setattr__(self, name, value):
        if self.within_init_scope and isinstance(value, Link):
            value.name = name
            self._children.add(name)
        super().__setattr__(name, value)

    def __delattr__(self, name):
        self._children.discard(name)
        super().__delattr__(name)

    def add_link(self, name, link):
        """Register ``link`` as the attribute ``name``."""
        self._expect_new(name)
        if not isinstance(link, Link):
            raise InvalidType(f'{type(self).__name__}.add_link: Link expected, got '
                              f'{type(link).__name__}')
        with self.init_scope():
            setattr(self, name, link)

    def _named_children(self):
        return ((name, getattr(self, name)) for name in sorted(self._children))

    def _copy_children(self):
        self._children = set(self._children)
        for name in self._children:
            child = getattr(self, name).copy()
            child.name = name
            object.__setattr__(self, name, child)

    def serialize(self, serializer):
        super().serialize(serializer)
        for name, child in self._named_children():
            child.serialize(serializer[name])

    def __str__(self):
        return _tree_text(self, self._named_children())


class ChainList(Link):
    """A link made of a list of links; each one's path component is its position."""

    def __init__(self, *links):
        super().__init__()
        self._children = []
        for link in links:
            self.append(link)

    def __setattr__(self, name, value):
        if self.within_init_scope and isinstance(value, Link):
            raise InvalidArgument(f'{type(self).__name__}: a ChainList holds links by position; '
                                  'use append, or derive from Chain')
        super().__setattr__(name, value)

    def __getitem__(self, index):
        return self._children[index]

    def __setitem__(self, index, link):
        self._children[index] = link
        self._rename()

    def __delitem__(self, index):
        del self._children[index]
        self._rename()

    def __iter__(self):
        return iter(self._children)

    def __len__(self):
        return len(self._children)

    def __contains__(self, link):
        return any(link is child for child in self._children)

    def _rename(self):
        for name, child in self._named_children():
            child.name = name

    def append(self, link):
        """Add a link to the end."""
        self.insert(len(self._children), link)

    add_link = append

    def insert(self, index, link):
        """Add a link in front of position ``index``."""
        if not isinstance(link, Link):
            raise InvalidType(f'{type(self).__name__}: Link expected, got {type(link).__name__}')
        self._children.insert(index, link)
        self._rename()

    def extend(self, links):
        """Add several links to the end."""
        for link in links:
            self.append(link)

    def pop(self, index=-1):
        """Remove and return the link at ``index``."""
        link = self._children.pop(index)
        self._rename()
        return link

    def remove(self, link):
        """Remove ``link``."""
        self.pop(self.index(link))

    def index(self, link):
        """Return the position of ``link``."""
        return next(i for i, child in enumerate(self._children) if child is link)

    def reverse(self):
        """Reverse the order."""
        self._children.reverse()
        self._rename()

    def clear(self):
        """Remove all links."""
        self._children.clear()

    def _named_children(self):
        return ((str(i), child) for i, child in enumerate(self._children))

    def _copy_children(self):
        self._children = [child.copy() if isinstance(child, Link) else child
                          for child in self._children]
        self._rename()

    def serialize(self, serializer):
        super().serialize(serializer)
        for name, child in self._named_children():
            child.serialize(serializer[name])

    def __str__(self):
        return _tree_text(self, [(str(i), child) for i, child in enumerate(self._children)])


def _tree_text(link, children):
    lines = [f'  ({name}): {child},'.replace('\n', '\n  ') for name, child in children]
    return repr(link) if not lines else '\n'.join([f'{type(link).__name__}(', *lines, ')'])
