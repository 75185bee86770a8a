"""Links: what is registered, in which order it is named, copied, moved and saved."""
import copy

import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import Chain, ChainList, Link, Parameter
from minichain.errors import DataError, InvalidArgument, InvalidType
from minichain.serializers import DictionarySerializer, NpzDeserializer
from tests import strict_cupy


class Scale(Link):
    """A link as a user writes one."""

    def __init__(self, size=2):
        super().__init__()
        with self.init_scope():
            self.W = Parameter(1., (size,))
            self.V = Parameter()
        self.add_persistent('count', np.zeros(3))
        self.free = Parameter(1., (1,))   # outside of the scope: not registered

    def forward(self, x, factor=1):
        return x * F.broadcast_to(self.W, x.shape) * factor


class Tree(Chain):
    """Children and parameters, assigned in no order."""

    def __init__(self):
        super().__init__(zoo=Scale())
        with self.init_scope():
            self.y = Parameter(2., (1,))
            self.list = ChainList(L.Linear(2, 1), Scale())
            self.a = Parameter(1., (2,))
            self.ant = L.Linear(3, 2)


PATHS = ['/a', '/y', '/ant/W', '/ant/b', '/list/0/W', '/list/0/b', '/list/1/V', '/list/1/W',
         '/zoo/V', '/zoo/W']


def test_parameters_are_named_by_sorted_paths_own_ones_first():
    tree = Tree()
    assert [path for path, _ in tree.namedparams()] == PATHS
    assert list(tree.params()) == [parameter for _, parameter in tree.namedparams()]
    assert [path for path, _ in tree.namedparams(include_uninit=False)] == [
        path for path in PATHS if not path.endswith('V')]
    assert tree.count_params() == 2 + 1 + 8 + 3 + 2 + 2
    assert dict(tree.namedparams())['/list/0/W'] is tree.list[0].W
    assert tree.a.name == 'a' and tree.ant.name == 'ant' and tree.list[1].name == '1'


def test_links_are_named_by_paths_too():
    tree = Tree()
    paths = ['/', '/ant', '/list', '/list/0', '/list/1', '/zoo']
    assert [path for path, _ in tree.namedlinks()] == paths
    assert [path for path, _ in tree.namedlinks(skipself=True)] == paths[1:]
    assert list(tree.links()) == [tree, tree.ant, tree.list, *tree.list, tree.zoo]
    assert list(tree.children()) == [tree.ant, tree.list, tree.zoo] and tree.name is None
    assert list(Scale().children()) == []


def test_a_call_runs_forward_with_its_arguments():
    y = Scale()(np.ones((3, 2), 'f'), factor=5)
    assert (y.array == 5).all()
    with pytest.raises(NotImplementedError, match='Tree defines no forward'):
        Tree()(1)


def test_registration_happens_inside_the_scope_only_and_scopes_nest():
    link = Link()
    with link.init_scope():
        with link.init_scope():
            assert link.within_init_scope
        link.W = Parameter(0., (1,))
        link.number, link.array = 1, np.zeros(2)
        with pytest.raises(ZeroDivisionError), link.init_scope():
            raise ZeroDivisionError
    assert not link.within_init_scope
    link.V = Parameter(0., (1,))
    assert [path for path, _ in link.namedparams()] == ['/W']


def test_a_link_in_a_link_that_is_no_chain_is_an_attribute_only():
    link = Link()
    with link.init_scope():
        link.child, link.W = Scale(), Parameter(0., (1,))
    assert [path for path, _ in link.namedparams()] == ['/W'] and link.child.name is None
    assert list(link.links()) == [link]


def test_a_forgotten_super_call_is_named():
    class Hasty(Link):
        def __init__(self):
            with self.init_scope():
                pass

    with pytest.raises(InvalidArgument, match=r'Hasty: call super\(\).__init__\(\) before'):
        Hasty()


def test_parameters_given_to_the_constructor_and_added_later():
    link = Link(W=(2, 3))
    link.add_param('b', 4, dtype='float16', initializer=7)
    link.add_param('late')
    assert np.isnan(link.W.array).all() and link.W.shape == (2, 3)
    assert link.b.array.tolist() == [7] * 4 and link.b.dtype == np.float16
    assert link.late.array is None and link.late.name == 'late'
    for add in (lambda: link.add_param('W', (1,)), lambda: link.add_persistent('b', 1)):
        with pytest.raises(AttributeError, match="Link has an attribute '.' already"):
            add()


def test_a_persistent_value_is_not_a_parameter_and_can_change_sides():
    link = Scale()
    assert [path for path, _ in link.namedparams()] == ['/V', '/W']
    link.register_persistent('W')
    assert [path for path, _ in link.namedparams()] == ['/V']
    with link.init_scope():
        link.W = Parameter(0., (1,))
    assert [path for path, _ in link.namedparams()] == ['/V', '/W']
    keys = []
    link.serialize(lambda key, value: keys.append(key))
    assert keys == ['V', 'W', 'count']
    with pytest.raises(InvalidArgument, match="no attribute 'nothing'"):
        link.register_persistent('nothing')


def test_what_is_deleted_is_no_longer_registered():
    tree = Tree()
    del tree.zoo, tree.a, tree.ant.b
    assert [path for path, _ in tree.namedparams()] == ['/y', '/ant/W', *PATHS[4:8]]
    link = Scale()
    del link.count
    target = DictionarySerializer()
    target.save(link)
    assert set(target.target) == {'V', 'W'} and not hasattr(link, 'count')


def test_a_chain_finds_its_links_by_name_and_holds_nothing_else():
    chain = Chain(a=Scale())
    assert chain['a'] is chain.a
    with pytest.raises(KeyError, match="no link 'b'; there are: a"):
        chain['b']
    with pytest.raises(InvalidType, match='Chain.add_link: Link expected, got int'):
        chain.add_link('b', 3)
    with pytest.raises(AttributeError, match='already'):
        chain.add_link('a', Scale())


def test_a_chain_list_is_a_list_whose_names_are_positions():
    a, b, c = links = [Scale(), Scale(), Scale()]
    chain = ChainList(a)
    chain.append(b)
    chain.insert(0, c)
    assert list(chain) == [c, a, b] and len(chain) == 3 and [x.name for x in chain] == list('012')
    assert chain[0] is c and chain[-1] is b and a in chain and Scale() not in chain
    assert chain.index(b) == 2
    chain.reverse()
    assert list(chain) == [b, a, c] and [x.name for x in chain] == list('012')
    chain.remove(a)
    assert chain.pop() is c and list(chain) == [b]
    chain[0] = a
    assert [path for path, _ in chain.namedparams()] == ['/0/V', '/0/W'] and a.name == '0'
    chain.extend([b, c])
    del chain[0]
    assert list(chain) == [b, c] and b.name == '0'
    chain.add_link(a)
    chain.clear()
    assert len(chain) == 0 and len(links) == 3
    with pytest.raises(InvalidType, match='Link expected, got function'):
        chain.append(lambda x: x)
    with pytest.raises(InvalidArgument, match='holds links by position'), chain.init_scope():
        chain.child = Scale()


def test_a_shared_copy_has_the_arrays_of_the_original_but_gradients_of_its_own():
    tree = Tree()
    tree.ant.W.grad = np.ones((2, 3), 'f')
    shared = tree.copy()
    assert [path for path, _ in shared.namedparams()] == PATHS
    assert shared.ant is not tree.ant and shared.ant.W is not tree.ant.W
    assert shared.list[0] is not tree.list[0] and shared.list[0].name == '0'
    assert shared.ant.W.array is tree.ant.W.array and shared.ant.W.grad is None
    assert tree.ant.name == shared.ant.name == 'ant' and shared.name is None
    shared.ant.W.grad = np.zeros((2, 3), 'f')
    assert (tree.ant.W.grad == 1).all()
    with shared.init_scope():
        shared.new = Parameter(1., (1,))
    assert [path for path, _ in tree.namedparams()] == PATHS


def test_a_full_copy_shares_nothing():
    tree = Tree()
    tree.ant.W.grad = np.ones((2, 3), 'f')
    for full in (tree.copy('copy'), copy.deepcopy(tree)):
        for (path, mine), (_, other) in zip(tree.namedparams(), full.namedparams()):
            assert mine is not other, path
            if mine.array is not None:
                assert not np.shares_memory(mine.array, other.array), path
        assert (full.ant.W.grad == 1).all() and full.ant.W.grad is not tree.ant.W.grad
        assert full.zoo.count is not tree.zoo.count


def test_a_fresh_copy_is_initialized_anew():
    tree = Tree()
    fresh = tree.copy('init')
    assert fresh.ant.W.shape == tree.ant.W.shape
    assert (fresh.ant.W.array != tree.ant.W.array).all()
    assert (fresh.a.array == 1).all() and fresh.a.array is not tree.a.array
    assert fresh.zoo.V.array is None


def test_another_mode_of_copying_is_refused():
    with pytest.raises(InvalidArgument, match="'share', 'copy' or 'init' expected, got 'deep'"):
        Tree().copy('deep')


def test_parameters_and_persistents_are_copied_from_another_tree():
    mine, other = Tree(), Tree()
    array = mine.ant.W.array
    other.zoo.count[:] = 5
    other.zoo.V.initialize((4,))
    other.zoo.V.array[:] = 3
    mine.copyparams(other)
    assert mine.ant.W.array is array and (array == other.ant.W.array).all()
    assert (mine.zoo.count == 5).all() and mine.zoo.count is not other.zoo.count
    assert (mine.zoo.V.array == 3).all()
    another = Tree()
    another.copyparams(other, copy_persistent=False)
    assert (another.zoo.count == 0).all() and (another.zoo.V.array == 3).all()


def test_copyparams_refuses_a_tree_of_other_shapes():
    with pytest.raises(InvalidType, match=r'copydata to W: shape \(2, 3\) expected, got \(2, 4\)'):
        Chain(l=L.Linear(3, 2)).copyparams(Chain(l=L.Linear(4, 2)))


def test_gradients_are_added_cleared_and_zeroed():
    mine, other = Tree(), Tree()
    mine.cleargrads()
    other.a.grad, other.y.grad = np.ones(2, 'f'), np.full(1, 2, 'f')
    mine.y.grad = np.full(1, 3, 'f')
    mine.addgrads(other)
    assert mine.a.grad.tolist() == [1, 1] and mine.y.grad == [5] and mine.ant.W.grad is None
    assert mine.a.grad is not other.a.grad
    mine.zerograds()
    assert mine.a.grad.tolist() == [0, 0] and (mine.ant.W.grad == 0).all()
    assert mine.zoo.V.grad is None
    mine.cleargrads()
    assert all(parameter.grad is None for parameter in mine.params())


def test_updates_are_switched_after_setup():
    tree = Tree()
    assert not tree.update_enabled   # no optimizer yet
    tree.disable_update()
    minichain.optimizers.SGD().setup(tree)
    assert tree.update_enabled
    tree.ant.disable_update()
    assert tree.update_enabled and not tree.ant.update_enabled
    tree.disable_update()
    assert not tree.update_enabled and not tree.zoo.update_enabled
    tree.enable_update()
    assert tree.ant.update_enabled


def test_a_tree_moves_with_parameters_gradients_and_persistents():
    class Told(Scale):
        moved = 0

        def device_resident_moved(self):
            self.moved += 1

    tree = Chain(told=Told(), more=ChainList(Scale()))
    tree.told.W.grad = np.ones(2, 'f')
    with strict_cupy.installed() as cupy:
        assert tree.to_gpu() is tree
        assert tree.xp is tree.more[0].xp is cupy and tree.device.name == '@cupy:0'
        assert type(tree.told.W.array) is type(tree.told.W.grad) is cupy.ndarray
        assert type(tree.told.count) is cupy.ndarray and tree.told.moved == 1
        tree.told.V.initialize((2,))
        assert type(tree.told.V.array) is cupy.ndarray
        assert type(tree.told(cupy.ones((1, 2), 'f')).array) is cupy.ndarray
        assert tree.to_cpu() is tree
    assert type(tree.told.W.array) is type(tree.told.count) is np.ndarray
    assert tree.told.moved == 2 and tree.xp is np


def test_serialize_goes_both_ways_with_chainers_keys():
    tree = Tree()
    tree.zoo.count[:] = [1, 2, 3]
    writer = DictionarySerializer()
    writer.save(tree)
    assert set(writer.target) == {path[1:] for path in PATHS} | {'zoo/count', 'list/1/count'}
    assert writer.target['zoo/V'].dtype == object   # no array yet
    writer.target['zoo/V'] = np.full(2, 9, 'f')
    other = Tree()
    NpzDeserializer(writer.target).load(other)
    for (path, mine), (_, loaded) in zip(tree.namedparams(), other.namedparams()):
        if path != '/zoo/V':
            np.testing.assert_array_equal(mine.array, loaded.array, path)
    assert other.zoo.V.array.tolist() == [9, 9] and other.zoo.count.tolist() == [1, 2, 3]
    assert other.list[1].V.array is None


def test_an_entry_of_another_shape_is_refused_with_its_path():
    writer = DictionarySerializer()
    writer.save(Chain(l=L.Linear(4, 2)))
    with pytest.raises(DataError, match='l/W'):
        NpzDeserializer(writer.target).load(Chain(l=L.Linear(3, 2)))


def test_hooks_of_one_link_are_told_and_removed():
    class Count(minichain.LinkHook):
        name = 'count'

        def __init__(self):
            self.events = []

        def added(self, link):
            self.events.append(('added', link))

        def deleted(self, link):
            self.events.append(('deleted', link))

        def forward_preprocess(self, args):
            self.events.append((args.forward_name, args.args, args.kwargs, args.out))

        def forward_postprocess(self, args):
            self.events.append(args.out)

    link, hook, x = Scale(), Count(), np.ones((1, 2), 'f')
    assert link.add_hook(hook) is link
    with pytest.raises(InvalidArgument, match="a hook named 'count' already"):
        link.add_hook(Count())
    link.add_hook(Count(), name='another')
    y = link(x, factor=2)
    link.delete_hook('count')
    link(x)
    assert hook.events == [('added', link), ('forward', (x,), {'factor': 2}, None), y,
                           ('deleted', link)]
    assert Scale.local_link_hooks == {}


def test_copies_of_one_link_make_a_sequential():
    link = L.Linear(2, 2)
    fresh, full, shared = (link.repeat(3, mode) for mode in ('init', 'copy', 'share'))
    assert type(fresh) is minichain.Sequential and len(fresh) == 3 and len(link.repeat(0)) == 0
    assert (fresh[0].W.array != link.W.array).all() and fresh[0].W is not fresh[1].W
    assert (full[1].W.array == link.W.array).all() and full[1].W.array is not link.W.array
    assert shared[2].W.array is link.W.array


def test_a_tree_shows_itself():
    assert repr(Scale()) == 'Scale()' and 'in_size=2' in repr(L.Linear(2, 3))
    text = str(Chain(a=L.Linear(2, 3), b=ChainList(Scale())))
    lines = text.splitlines()
    assert lines[0] == 'Chain(' and lines[1].startswith('  (a): Linear(')
    assert lines[2:] == ['  (b): ChainList(', '    (0): Scale(),', '  ),', ')']
    assert str(ChainList()) == 'ChainList()'
