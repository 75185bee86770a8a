"""Switches: what a thread sees, what a block changes, and what is no switch."""
import threading

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import config, global_config, using_config
from minichain.configuration import get_dtype
from minichain.errors import InvalidArgument


def in_another_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@pytest.fixture
def clean():
    before = {name: getattr(global_config, name) for name in ('train', 'debug', 'dtype')}
    yield
    for name, value in before.items():
        setattr(global_config, name, value)
        vars(config).pop(name, None)


def test_switches_begin_as_in_chainer():
    assert config.train and config.enable_backprop and config.type_check
    assert not config.debug and not config.keep_graph_on_report
    assert config.dtype == np.float32


def test_a_thread_changes_only_its_own_switches(clean):
    config.train = False
    assert in_another_thread(lambda: config.train) is True
    assert config.train is False and global_config.train is True


def test_a_global_switch_is_seen_by_threads_that_have_not_set_their_own(clean):
    global_config.train = False
    assert not config.train and in_another_thread(lambda: config.train) is False
    config.train = True
    assert config.train and not global_config.train


@pytest.mark.parametrize('settings', [config, global_config])
def test_an_unknown_switch_is_refused_with_the_list_of_those_there_are(settings):
    for act in (lambda: setattr(settings, 'trian', True), lambda: settings.trian):
        with pytest.raises(AttributeError, match='trian'):
            act()
    with pytest.raises(AttributeError, match=r"'trian'; there are: .*enable_backprop.*train"):
        settings.trian = True
    with pytest.raises(AttributeError), using_config('trian', True):
        pass


def test_a_switch_of_the_users_own_begins_with_user_and_is_as_the_others(clean):
    assert not hasattr(config, 'user_beam')
    with using_config('user_beam', 5):
        assert config.user_beam == 5 and not in_another_thread(
            lambda: hasattr(config, 'user_beam'))
        with using_config('user_beam', 6):
            assert config.user_beam == 6
        assert config.user_beam == 5
    assert not hasattr(config, 'user_beam')
    with using_config('user_beam', 5, global_config):
        assert in_another_thread(lambda: config.user_beam) == 5 == global_config.user_beam
    assert not hasattr(global_config, 'user_beam')
    with pytest.raises(AttributeError, match="'beam'.* a switch of your own begins with user_"):
        config.beam = 5


def test_using_config_restores_also_after_an_error_and_when_nested(clean):
    with pytest.raises(ZeroDivisionError), using_config('train', False):
        with using_config('train', 'inner'):
            assert config.train == 'inner'
        assert config.train is False
        raise ZeroDivisionError
    assert config.train is True and 'train' not in vars(config)


def test_a_thread_follows_the_global_switch_again_after_a_block(clean):
    with using_config('debug', True):
        pass
    global_config.debug = True
    assert config.debug


def test_using_config_changes_the_global_switches_when_told(clean):
    with using_config('train', False, global_config):
        assert in_another_thread(lambda: config.train) is False
    assert global_config.train is True and config.train is True


def test_nothing_is_recorded_without_backprop_unless_forced():
    x = minichain.Variable(np.ones(2))
    with minichain.no_backprop_mode():
        assert (x * 2).creator is None
        with minichain.force_backprop_mode():
            assert (x * 2).creator is not None
        assert (x * 2).creator is None
    assert (x * 2).creator is not None


def test_dropout_follows_the_train_switch():
    x = np.ones((100,), 'f')
    with using_config('train', False):
        assert (F.dropout(x).array == 1).all()
    assert not (F.dropout(x).array == 1).any()


def test_debug_has_chainers_spellings(clean):
    assert not minichain.is_debug()
    with minichain.using_debug():
        assert minichain.is_debug() and config.debug
        with minichain.using_debug(False):
            assert not minichain.is_debug()
    minichain.set_debug(True)
    assert minichain.is_debug() and in_another_thread(minichain.is_debug) is False


def test_switches_of_chainer_without_effect_here_may_be_set():
    for name, value in (('autotune', True), ('use_ideep', 'auto'),
                        ('use_cudnn_tensor_core', 'never')):
        with using_config(name, value):
            assert getattr(config, name) == value


@pytest.mark.parametrize('settings', [config, global_config])
def test_show_prints_every_switch_with_its_value(settings, capsys):
    settings.show()
    lines = capsys.readouterr().out.splitlines()
    assert lines == sorted(lines) and len(lines) > 6
    assert [line.split() for line in lines if line.startswith('train')] == [['train', 'True']]
    assert not any('show' in line or line.startswith('_') for line in lines)


def test_a_dtype_is_the_configured_one_unless_given(clean):
    assert get_dtype() == np.float32 and get_dtype('float64') == np.float64
    with using_config('dtype', np.float16):
        assert get_dtype() == np.float16 and get_dtype(np.float64) == np.float64
        assert minichain.links.Linear(2, 2).W.dtype == np.float16
    with using_config('dtype', 'mixed16'):
        assert get_dtype() == np.float16
        assert get_dtype(map_mixed16=np.float32) == np.float32
    with pytest.raises(InvalidArgument, match='flaot32'):
        get_dtype('flaot32')


def test_function_hooks_of_a_thread_are_its_own():
    class Hook(minichain.FunctionHook):
        name = 'mine'

    with Hook() as hook:
        assert minichain.get_function_hooks() == {'mine': hook}
        assert in_another_thread(minichain.get_function_hooks) == {}
    assert minichain.get_function_hooks() == {}


@pytest.mark.parametrize('settings', [config, global_config])
def test_a_precision_that_there_is_not_is_refused_with_those_there_are(settings):
    assert config.precision == 'float32'
    with using_config('precision', 'tf32', settings):
        with pytest.raises(InvalidArgument, match="'fp16'; expected one of 'float32', 'tf32'"):
            settings.precision = 'fp16'
        assert settings.precision == 'tf32'
    assert config.precision == 'float32'
