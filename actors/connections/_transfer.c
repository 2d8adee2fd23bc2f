/* Reads from a socket into the arena, and writes to a socket with a copy in the arena: as `transfer` does in Python.
 *
 * The process may be killed between two instructions. So the order of the stores matters, and a barrier keeps the
 * compiler from changing it. A word of 8 bytes is written as a whole, because its address is a multiple of 8.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>
#include <sys/socket.h>

#define BARRIER() __asm__ volatile("" ::: "memory")
#define HEAD_BYTES 64 /* `AREA_HEAD_BYTES` */

typedef struct {
    PyObject_HEAD
    Py_buffer memory;
    int descriptor;
    uint64_t serial;
    Py_ssize_t at, size, word_at, count;
} Transfer;

static int is_within(const Py_buffer *memory, Py_ssize_t at, Py_ssize_t size)
{
    if (at >= 0 && size >= 0 && at <= memory->len && size <= memory->len - at)
        return 1;
    PyErr_SetString(PyExc_ValueError, "not within the memory");
    return 0;
}

/* Call recv or send again if a signal interrupted it. Return -1 with an exception, or -2 if the socket has to wait. */
static Py_ssize_t transferred(int descriptor, void *data, Py_ssize_t size, int is_read)
{
    for (;;) {
        Py_ssize_t count;
        int error;
        Py_BEGIN_ALLOW_THREADS
        count = is_read ? recv(descriptor, data, size, 0) : send(descriptor, data, size, 0);
        error = errno;
        Py_END_ALLOW_THREADS
        if (count >= 0)
            return count;
        if (error == EAGAIN || error == EWOULDBLOCK)
            return -2;
        if (error != EINTR) {
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        if (PyErr_CheckSignals())
            return -1;
    }
}

static PyObject *received(Transfer *self, Py_ssize_t at, Py_ssize_t size)
{
    char *data = (char *)self->memory.buf + at;
    Py_ssize_t count = transferred(self->descriptor, data, size, 1);
    if (count == -1)
        return NULL;
    if (count == -2)
        Py_RETURN_NONE;
    self->count = count;
    return PyBytes_FromStringAndSize(data, count);
}

static PyObject *transfer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *arena;
    int descriptor;
    unsigned long long serial;
    if (!PyArg_ParseTuple(args, "OiK", &arena, &descriptor, &serial))
        return NULL;
    PyObject *memory = PyObject_GetAttrString(arena, "memory");
    if (memory == NULL)
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Transfer *self = (Transfer *)allocate(type, 0);
    if (self != NULL) {
        self->descriptor = descriptor;
        self->serial = serial;
        if (PyObject_GetBuffer(memory, &self->memory, PyBUF_WRITABLE) < 0)
            Py_CLEAR(self);
    }
    Py_DECREF(memory);
    return (PyObject *)self;
}

static void transfer_dealloc(Transfer *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyBuffer_Release(&self->memory);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *transfer_begin(Transfer *self, PyObject *args)
{
    Py_ssize_t at, size, word_at, count;
    if (!PyArg_ParseTuple(args, "nnnn", &at, &size, &word_at, &count))
        return NULL;
    if (!is_within(&self->memory, at, size) || !is_within(&self->memory, word_at & ~7, 8))
        return NULL;
    self->at = at, self->size = size, self->word_at = word_at & ~7, self->count = count;
    Py_RETURN_NONE;
}

static PyObject *transfer_receive(Transfer *self, PyObject *nothing)
{
    volatile uint64_t *word = (volatile uint64_t *)((char *)self->memory.buf + self->word_at);
    *word += self->count;
    BARRIER();
    self->count = 0;
    return received(self, self->at, self->size);
}

static PyObject *transfer_receive_at(Transfer *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "receive_at takes 2 arguments");
        return NULL;
    }
    Py_ssize_t at = PyLong_AsSsize_t(args[0]), end = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred() || !is_within(&self->memory, at, end - at))
        return NULL;
    return received(self, at, end - at);
}

static PyObject *transfer_send(Transfer *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "send takes 3 arguments");
        return NULL;
    }
    Py_ssize_t at = PyLong_AsSsize_t(args[1]), taken = -1;
    uint64_t written = PyLong_AsUnsignedLongLong(args[2]);
    Py_buffer data;
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (is_within(&self->memory, at - HEAD_BYTES, data.len + HEAD_BYTES)) {
        volatile uint64_t *head = (volatile uint64_t *)((char *)self->memory.buf + at - HEAD_BYTES);
        head[2] = 0;
        BARRIER();
        memcpy((char *)self->memory.buf + at, data.buf, data.len);
        head[0] = written;
        head[1] = data.len;
        BARRIER();
        head[2] = self->serial; /* the number of the session comes last, and makes the rest valid */
        BARRIER();
        taken = transferred(self->descriptor, data.buf, data.len, 0);
    }
    PyBuffer_Release(&data);
    if (taken == -1)
        return NULL;
    return PyLong_FromSsize_t(taken == -2 ? 0 : taken);
}

static PyMethodDef transfer_methods[] = {
    {"begin", (PyCFunction)transfer_begin, METH_VARARGS, "Choose the block that `receive` overwrites."},
    {"receive", (PyCFunction)transfer_receive, METH_NOARGS, "Drop the bytes of the read before, and read."},
    {"receive_at", (PyCFunction)(void (*)(void))transfer_receive_at, METH_FASTCALL, "Read into a part of the memory."},
    {"send", (PyCFunction)(void (*)(void))transfer_send, METH_FASTCALL, "Note a write, and make it."},
    {0},
};
static PyMemberDef transfer_members[] = {
    {"count", T_PYSSIZET, offsetof(Transfer, count), READONLY, "The number of bytes of the last read."},
    {0},
};
static PyType_Slot transfer_slots[] = {
    {Py_tp_new, transfer_new},
    {Py_tp_dealloc, transfer_dealloc},
    {Py_tp_methods, transfer_methods},
    {Py_tp_members, transfer_members},
    {0, NULL},
};
static PyType_Spec transfer_spec = {
    "actors.connections._transfer.Transfer", sizeof(Transfer), 0, Py_TPFLAGS_DEFAULT, transfer_slots,
};

static int fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &transfer_spec, NULL);
    if (type == NULL || PyModule_AddObjectRef(module, "Transfer", type) < 0) {
        Py_XDECREF(type);
        return -1;
    }
    Py_DECREF(type);
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_transfer", NULL, 0, NULL, slots};

PyMODINIT_FUNC PyInit__transfer(void) { return PyModuleDef_Init(&definition); }
