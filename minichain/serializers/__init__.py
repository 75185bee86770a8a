"""Serializers: what links, optimizers and iterators pass their values to, both ways."""
from minichain.serializers.base import AbstractSerializer, Deserializer, Serializer
from minichain.serializers.npz import (
    DictionarySerializer, MissingEntry, NpzDeserializer, load_npz, save_npz)
from minichain.serializers.by_name import LoadReport, load_by_name
from minichain.serializers.hdf5 import (
    HDF5Deserializer, HDF5Serializer, load_hdf5, save_hdf5)
