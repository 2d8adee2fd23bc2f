/* The inner loop of `polyphase`: the same samples as numpy's, to the bit.
 *
 * A coefficient is a multiple of 2**-24. It comes in two parts, high * 2**11 + low, which are 16-bit integers, as the
 * samples are. So a processor multiplies and adds eight or sixteen of them in one instruction. A sum has two
 * parts, too.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>

#if PY_BIG_ENDIAN
#error "samples of linear16 are little-endian"
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define WITH_AVX2 __attribute__((target("avx2")))
#endif

#define TAPS_AT_ONCE 48 /* their products of low parts, at most 2**10 * 2**15 each, have a sum below 2**31 */
#define MOST_TAPS 496    /* an eighth of their products of low parts has a sum below 2**31 */
#define LOW_BITS 11
#define LOW_MASK ((1 << LOW_BITS) - 1)
#define HIGH_BITS 13 /* of the fraction: a high part is a multiple of 2**-13 */
#define HALF (1 << (HIGH_BITS - 1))

typedef struct {
    Py_ssize_t block_in, block_out, taps;
    const int16_t *high, *low;
} Design;

/* The phase of an output, the first sample that it reads, and the fraction of a sample by which it lies behind. */
typedef struct {
    Py_ssize_t phase, carry;
    const int16_t *samples;
} Place;

static inline Place place_of(const Design *by, const int16_t *line, Py_ssize_t output)
{
    Py_ssize_t phase = output % by->block_out, samples = phase * by->block_in;
    line += output / by->block_out * by->block_in + samples / by->block_out;
    return (Place){phase, samples % by->block_out, line};
}

static inline void advance(const Design *by, Place *at)
{
    at->phase = at->phase + 1 < by->block_out ? at->phase + 1 : 0;
    /* The next output lies block_in / block_out samples later. A division would cost more than the sum. */
    for (at->carry += by->block_in; at->carry >= by->block_out; at->carry -= by->block_out)
        at->samples++;
}

static inline int16_t rounded(int32_t high, int32_t low)
{
    high += low >> LOW_BITS;
    int32_t whole = (high + HALF) >> HIGH_BITS;
    if ((high & (2 * HALF - 1)) == HALF && !(low & LOW_MASK))
        whole &= ~1; /* half to even, as numpy rounds */
    return whole < INT16_MIN ? INT16_MIN : whole > INT16_MAX ? INT16_MAX : (int16_t)whole;
}

static inline void add(const int16_t *samples, const int16_t *high, const int16_t *low, Py_ssize_t taps,
                       int32_t *high_sum, int32_t *low_sum)
{
    int32_t highs = 0, lows = 0;
    for (Py_ssize_t tap = 0; tap < taps; tap++) {
        highs += samples[tap] * high[tap];
        lows += samples[tap] * low[tap];
    }
    *high_sum += highs + (lows >> LOW_BITS);
    *low_sum += lows & LOW_MASK;
}

static void filter(const Design *by, const int16_t *line, int16_t *made, Py_ssize_t first, Py_ssize_t outputs)
{
    Place at = place_of(by, line, first);
    for (; first < outputs; first++, advance(by, &at)) {
        const int16_t *high = by->high + at.phase * by->taps, *low = by->low + at.phase * by->taps;
        int32_t high_sum = 0, low_sum = 0;
        Py_ssize_t tap = 0;
        for (; tap + TAPS_AT_ONCE <= by->taps; tap += TAPS_AT_ONCE) /* a number that the compiler knows */
            add(at.samples + tap, high + tap, low + tap, TAPS_AT_ONCE, &high_sum, &low_sum);
        if (tap < by->taps)
            add(at.samples + tap, high + tap, low + tap, by->taps - tap, &high_sum, &low_sum);
        *made++ = rounded(high_sum, low_sum);
    }
}

#ifdef WITH_AVX2
WITH_AVX2 static inline __m128i totals(const __m256i sums[4])
{
    __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

/* `rounded`, of four sums at once. */
WITH_AVX2 static inline __m128i four_rounded(__m128i high, __m128i low)
{
    __m128i one = _mm_set1_epi32(1);
    high = _mm_add_epi32(high, _mm_srai_epi32(low, LOW_BITS));
    __m128i whole = _mm_srai_epi32(_mm_add_epi32(high, _mm_set1_epi32(HALF)), HIGH_BITS);
    __m128i is_half = _mm_cmpeq_epi32(_mm_and_si128(high, _mm_set1_epi32(2 * HALF - 1)), _mm_set1_epi32(HALF));
    __m128i is_exact = _mm_cmpeq_epi32(_mm_and_si128(low, _mm_set1_epi32(LOW_MASK)), _mm_setzero_si128());
    whole = _mm_andnot_si128(_mm_and_si128(_mm_and_si128(is_half, is_exact), one), whole);
    return _mm_packs_epi32(whole, whole);
}

/* `filter`, of four outputs at once. No compiler gathers the sums of four by itself. Taps come in sixteens. */
WITH_AVX2 static void filter_by_four(const Design *by, const int16_t *line, int16_t *made, Py_ssize_t first,
                                     Py_ssize_t outputs)
{
    Place at = place_of(by, line, first);
    for (; first + 4 <= outputs; first += 4, made += 4) {
        __m256i highs[4], lows[4];
        for (int each = 0; each < 4; each++, advance(by, &at)) {
            const int16_t *high = by->high + at.phase * by->taps, *low = by->low + at.phase * by->taps;
            __m256i high_sum = _mm256_setzero_si256(), low_sum = high_sum;
            for (Py_ssize_t tap = 0; tap < by->taps; tap += 16) {
                __m256i samples = _mm256_loadu_si256((const __m256i *)(at.samples + tap));
                __m256i high_parts = _mm256_loadu_si256((const __m256i *)(high + tap));
                __m256i low_parts = _mm256_loadu_si256((const __m256i *)(low + tap));
                high_sum = _mm256_add_epi32(high_sum, _mm256_madd_epi16(samples, high_parts));
                low_sum = _mm256_add_epi32(low_sum, _mm256_madd_epi16(samples, low_parts));
            }
            highs[each] = _mm256_add_epi32(high_sum, _mm256_srai_epi32(low_sum, LOW_BITS));
            lows[each] = _mm256_and_si256(low_sum, _mm256_set1_epi32(LOW_MASK));
        }
        _mm_storel_epi64((__m128i *)made, four_rounded(totals(highs), totals(lows)));
    }
    filter(by, line, made, first, outputs);
}
#endif

static void filter_fastest(const Design *by, const int16_t *line, int16_t *made, Py_ssize_t first, Py_ssize_t outputs)
{
#ifdef WITH_AVX2
    if (by->taps % 16 == 0 && by->taps <= MOST_TAPS && __builtin_cpu_supports("avx2")) {
        filter_by_four(by, line, made, first, outputs);
        return;
    }
#endif
    filter(by, line, made, first, outputs);
}

/* resampled(parts, block_in, block_out, taps, line, first, outputs) -> bytes: the samples from `first` to `outputs`. */
static PyObject *resampled(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 7)
        return PyErr_Format(PyExc_TypeError, "resampled takes 7 arguments, not %zd", count);
    char *parts, *line;
    Py_ssize_t parts_bytes, line_bytes;
    if (PyBytes_AsStringAndSize(arguments[0], &parts, &parts_bytes)
        || PyBytes_AsStringAndSize(arguments[4], &line, &line_bytes))
        return NULL;
    Py_ssize_t numbers[] = {1, 2, 3, 5, 6};
    for (int each = 0; each < 5; each++)
        numbers[each] = PyLong_AsSsize_t(arguments[numbers[each]]);
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t first = numbers[3], outputs = numbers[4], last = outputs - 1, size = numbers[1] * numbers[2];
    Design by = {numbers[0], numbers[1], numbers[2], NULL, NULL};
    if (by.block_in < 1 || by.block_out < 1 || by.taps < 1 || parts_bytes != 2 * size * (Py_ssize_t)sizeof(int16_t))
        return PyErr_Format(PyExc_ValueError, "the design is not whole");
    if (first < 0 || outputs < first || (outputs && last / by.block_out * by.block_in
        + last % by.block_out * by.block_in / by.block_out + by.taps > line_bytes / (Py_ssize_t)sizeof(int16_t)))
        return PyErr_Format(PyExc_ValueError, "the line is too short");
    by.high = (const int16_t *)parts;
    by.low = by.high + size;
    PyObject *made = PyBytes_FromStringAndSize(NULL, (outputs - first) * sizeof(int16_t));
    if (made != NULL)
        filter_fastest(&by, (const int16_t *)line, (int16_t *)PyBytes_AsString(made), first, outputs);
    return made;
}

static PyMethodDef methods[] = {
    {"resampled", (PyCFunction)(void (*)(void))resampled, METH_FASTCALL, "Return the samples of a line."},
    {0},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_resampling", NULL, 0, methods};

PyMODINIT_FUNC PyInit__resampling(void) { return PyModuleDef_Init(&definition); }
