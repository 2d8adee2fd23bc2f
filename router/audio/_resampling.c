/* The inner loop of `polyphase`: the same samples as numpy's, to the bit.
 *
 * A coefficient is a multiple of 2**-24. It comes in two parts, high * 2**11 + low, which are 16-bit integers, as the
 * samples are. So a compiler multiplies and adds eight or sixteen of them in one instruction.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>

#if PY_BIG_ENDIAN
#error "samples of linear16 are little-endian"
#endif

#define TAPS_AT_ONCE 48 /* their products of low parts, at most 2**10 * 2**15 each, have a sum below 2**31 */
#define LOW_BITS 11
#define ONE (INT64_C(1) << 24)

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_NEWER_PROCESSORS __attribute__((target_clones("arch=haswell", "default")))
#else
#define FOR_NEWER_PROCESSORS
#endif

typedef struct {
    Py_ssize_t block_in, block_out, taps;
} Design;

static int16_t rounded(int64_t sum)
{
    int64_t whole = (sum + ONE / 2) >> 24;
    if ((sum & (ONE - 1)) == ONE / 2)
        whole &= ~INT64_C(1); /* half to even, as numpy rounds */
    return whole < INT16_MIN ? INT16_MIN : whole > INT16_MAX ? INT16_MAX : (int16_t)whole;
}

static inline __attribute__((always_inline)) int64_t
product(const int16_t *samples, const int16_t *high, const int16_t *low, Py_ssize_t taps)
{
    int32_t high_sum = 0, low_sum = 0;
    for (Py_ssize_t tap = 0; tap < taps; tap++) {
        high_sum += samples[tap] * high[tap];
        low_sum += samples[tap] * low[tap];
    }
    return ((int64_t)high_sum << LOW_BITS) + low_sum;
}

FOR_NEWER_PROCESSORS
static void filter(const int16_t *high, const int16_t *low, Design by, const int16_t *line, int16_t *made,
                   Py_ssize_t first, Py_ssize_t outputs)
{
    Py_ssize_t phase = first % by.block_out, carry = phase * by.block_in % by.block_out;
    const int16_t *samples = line + first / by.block_out * by.block_in + phase * by.block_in / by.block_out;
    for (; first < outputs; first++) {
        Py_ssize_t at = phase * by.taps, tap = 0;
        int64_t sum = 0;
        for (; tap + TAPS_AT_ONCE <= by.taps; tap += TAPS_AT_ONCE) /* a number that the compiler knows */
            sum += product(samples + tap, high + at + tap, low + at + tap, TAPS_AT_ONCE);
        *made++ = rounded(sum + product(samples + tap, high + at + tap, low + at + tap, by.taps - tap));
        phase = phase + 1 < by.block_out ? phase + 1 : 0;
        /* The next output lies block_in / block_out samples later. A division would cost more than the sum. */
        for (carry += by.block_in; carry >= by.block_out; carry -= by.block_out)
            samples++;
    }
}

/* resampled(parts, block_in, block_out, taps, line, first, outputs) -> bytes: the samples from `first` to `outputs`. */
static PyObject *resampled(PyObject *module, PyObject *arguments)
{
    Py_buffer parts, line;
    Design by;
    Py_ssize_t first, outputs;
    if (!PyArg_ParseTuple(arguments, "y*nnny*nn", &parts, &by.block_in, &by.block_out, &by.taps, &line, &first, &outputs))
        return NULL;
    PyObject *made = NULL;
    Py_ssize_t last = outputs - 1, size = by.block_out * by.taps;
    if (by.block_in < 1 || by.block_out < 1 || by.taps < 1 || parts.len != 2 * size * (Py_ssize_t)sizeof(int16_t))
        PyErr_SetString(PyExc_ValueError, "the design is not whole");
    else if (first < 0 || outputs < first || (outputs && last / by.block_out * by.block_in
             + last % by.block_out * by.block_in / by.block_out + by.taps > line.len / (Py_ssize_t)sizeof(int16_t)))
        PyErr_SetString(PyExc_ValueError, "the line is too short");
    else if ((made = PyBytes_FromStringAndSize(NULL, (outputs - first) * sizeof(int16_t))) != NULL)
        filter(parts.buf, (const int16_t *)parts.buf + size, by, line.buf, (int16_t *)PyBytes_AsString(made), first, outputs);
    PyBuffer_Release(&parts);
    PyBuffer_Release(&line);
    return made;
}

static PyMethodDef methods[] = {{"resampled", resampled, METH_VARARGS, "Return the samples of a line."}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_resampling", NULL, 0, methods};

PyMODINIT_FUNC PyInit__resampling(void) { return PyModuleDef_Init(&definition); }
