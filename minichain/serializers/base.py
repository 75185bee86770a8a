"""The protocol: ``value = serializer(key, value)`` writes or reads, depending on the serializer.

An object has one method ``serialize(serializer)`` for both ways and passes each of its values
through the serializer; ``serializer['child']`` is one whose keys begin with ``child/``.
"""


class AbstractSerializer:
    """Base of both ways."""

    def __getitem__(self, key):
        """Return the serializer of the child `key`."""
        raise NotImplementedError(f'{type(self).__name__} must define __getitem__')

    def __call__(self, key, value):
        """Write `value` under `key` and return it; or return what is stored there.

        Args:
            key: name, unique among the values of one object.
            value: array, number, string or None. A reader fills arrays in place, and takes the
                type of the result from the value; None accepts any array.
        """
        raise NotImplementedError(f'{type(self).__name__} must define __call__')


class Serializer(AbstractSerializer):
    """A writer."""

    def save(self, obj):
        """Write the state of `obj`, anything with a method ``serialize``."""
        obj.serialize(self)


class Deserializer(AbstractSerializer):
    """A reader."""

    def load(self, obj):
        """Read the state of `obj`, anything with a method ``serialize``."""
        obj.serialize(self)
