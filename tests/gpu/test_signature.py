import pytest

from minichain.errors import InvalidType
from minichain.gpu.signature import Parameter, entry_points


def test_names_types_pointers_and_constness_are_read_from_the_source():
    text = """
    // extern "C" __global__ void not_this(int x) {}
    /* nor extern "C" __global__ void that(int x) */
    template <typename T> __device__ void helper(T *x) {}
    extern "C" __global__ void first(const float *__restrict__ x, bfloat16* y,
                                     long long rows /* how many */, unsigned n, float a) {
    }
    extern "C" __global__
    void __launch_bounds__(256, 2) second(unsigned long long const *seeds, address const *a) {}
    extern "C" __global__ void third() {}
    """
    assert entry_points(text) == {
        'first': (Parameter('x', 'float', True, True), Parameter('y', 'bfloat16', True, False),
                  Parameter('rows', 'long long', False, False),
                  Parameter('n', 'unsigned', False, False), Parameter('a', 'float', False, False)),
        'second': (Parameter('seeds', 'unsigned long long', True, True),
                   Parameter('a', 'address', True, True)), 'third': ()}
    assert [parameter.size for parameter in entry_points(text)['first']] == [8, 8, 8, 4, 4]


@pytest.mark.parametrize('parameter', ['half x', 'float **x', 'bfloat16 x', 'address x',
                                       'float &x', 'long x', 'dim3 size', 'x'])
def test_a_parameter_that_cannot_be_passed_is_refused_by_name(parameter):
    with pytest.raises(InvalidType, match='lstm.cu: k: parameter'):
        entry_points(f'extern "C" __global__ void k({parameter}) {{}}', 'lstm.cu')


def test_a_kernel_with_a_mangled_name_is_refused():
    with pytest.raises(InvalidType, match='every kernel begins with extern "C"'):
        entry_points('__global__ void k(float *x) {}')
