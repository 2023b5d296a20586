/* aecodec._core, the coder half: Tables, encode_group and GroupDecoder.
 *
 * Buffers are taken as they are (C-contiguous, right item type, no copies) and the GIL is released
 * around the coding loops. Memory stays safe even when another thread changes a buffer meanwhile: the
 * C library copies each index before it checks and uses it. */
#include "module.h"

#include <stdint.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    void *memory;           /* what was allocated */
    aecodec_tables *tables; /* in it, aligned to a cache line so that no row straddles two */
} TablesObject;

typedef struct {
    PyObject_HEAD
    PyObject *tables;
    Py_buffer payload;
    aecodec_decoder decoder;
    int ready; /* payload is held and decoder is set up */
    int busy;  /* a thread is inside decode */
} DecoderObject;

/* The module state of an instance of one of our types. Stable ABI: through the type's module. */
static module_state *state_of(PyObject *self) {
    PyObject *module = PyType_GetModule(Py_TYPE(self));
    return module ? PyModule_GetState(module) : NULL;
}

/* Takes a contiguous buffer of native items of one type; a TypeError says which argument is wrong. */
static int get_items(PyObject *object, Py_buffer *view, const char *format, int writable, const char *name) {
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0) return -1;
    const char *have = view->format ? view->format : "B";
    if (*have == '@' || *have == '=') have++;
    if (strcmp(have, format) != 0) {
        PyErr_Format(PyExc_TypeError, "%s: items of type '%s' are needed, these are '%s'", name, format, have);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

/* ------------------------------------------------------------------ Tables */

static PyObject *tables_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"rows", "shifts", "skip", NULL};
    PyObject *rows_object, *shifts_object;
    int skip;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOi:Tables", names, &rows_object, &shifts_object, &skip)) {
        return NULL;
    }
    Py_buffer rows, shifts;
    if (get_items(rows_object, &rows, "H", 0, "rows") < 0) return NULL;
    if (get_items(shifts_object, &shifts, "B", 0, "shifts") < 0) {
        PyBuffer_Release(&rows);
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    TablesObject *self = (TablesObject *)allocate(type, 0);
    size_t n_rows = (size_t)shifts.len;
    if (!self) goto failed;
    if (skip < 0 || (size_t)rows.len != n_rows * 2 * AECODEC_ROW) {
        PyErr_SetString(PyExc_ValueError, "tables: 16 starts and one shift a row, and skip >= 0, are needed");
        goto failed;
    }
    self->memory = PyMem_Malloc(sizeof(aecodec_tables) + 63);
    if (!self->memory) {
        PyErr_NoMemory();
        goto failed;
    }
    self->tables = (aecodec_tables *)(((uintptr_t)self->memory + 63) & ~(uintptr_t)63);
    size_t where;
    aecodec_status status =
        aecodec_tables_init(self->tables, rows.buf, shifts.buf, n_rows, (unsigned)skip, &where);
    if (status != AECODEC_OK) {
        PyErr_Format(PyExc_ValueError, "tables: row %zu: %s", where, aecodec_status_text(status));
        goto failed;
    }
    PyBuffer_Release(&rows);
    PyBuffer_Release(&shifts);
    return (PyObject *)self;
failed:
    PyBuffer_Release(&rows);
    PyBuffer_Release(&shifts);
    Py_XDECREF((PyObject *)self);
    return NULL;
}

static void tables_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(((TablesObject *)self)->memory);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyType_Slot tables_slots[] = {
    {Py_tp_new, tables_new},
    {Py_tp_dealloc, tables_dealloc},
    {Py_tp_doc, "Tables(rows, shifts, skip)\n\n"
                "rows: uint16, 16 cumulative starts a row; shifts: uint8, one a row; index < skip is not\n"
                "coded. ValueError when they are no valid distributions. Immutable, shared by threads."},
    {0, NULL},
};
static PyType_Spec tables_spec = {
    "aecodec._core.Tables", sizeof(TablesObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    tables_slots};

/* ------------------------------------------------------------------ encode_group */

const char encode_group_doc[] =
    "encode_group(tables, symbols, index, lanes_log2=-1, simd=-1) -> bytes\n\n"
    "symbols: int16; index: uint8, as many. lanes_log2 -1 chooses. There is one encoder path: simd is\n"
    "accepted for symmetry with GroupDecoder and changes nothing.";

PyObject *py_encode_group(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tables", "symbols", "index", "lanes_log2", "simd", NULL};
    module_state *state = state_of_module(module);
    PyObject *tables, *symbols_object, *index_object, *result = NULL;
    int lanes_log2 = -1, simd = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO|ii:encode_group", names, state->tables, &tables,
                                     &symbols_object, &index_object, &lanes_log2, &simd)) {
        return NULL;
    }
    Py_buffer symbols, index;
    if (get_items(symbols_object, &symbols, "h", 0, "symbols") < 0) return NULL;
    if (get_items(index_object, &index, "B", 0, "index") < 0) {
        PyBuffer_Release(&symbols);
        return NULL;
    }
    size_t count = (size_t)index.len, written = 0, where = 0;
    size_t bound = aecodec_group_bound(count);
    uint8_t *out = NULL;
    if ((size_t)symbols.len != 2 * count) {
        PyErr_SetString(PyExc_ValueError, "encode_group: as many symbols as indices are needed");
    } else if (bound == 0 || bound > (size_t)PY_SSIZE_T_MAX || !(out = PyMem_Malloc(bound))) {
        PyErr_NoMemory();
    } else {
        aecodec_status status;
        const aecodec_tables *t = ((TablesObject *)tables)->tables;
        Py_BEGIN_ALLOW_THREADS
        status = aecodec_group_encode(t, symbols.buf, index.buf, count, lanes_log2, out, bound, &written, &where);
        Py_END_ALLOW_THREADS
        result = status == AECODEC_OK
                     ? PyBytes_FromStringAndSize((const char *)out, (Py_ssize_t)written)
                     : raise_status(state->error, status, "encode_group", "symbol", where);
    }
    PyMem_Free(out);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&index);
    return result;
}

/* ------------------------------------------------------------------ GroupDecoder */

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tables", "payload", "simd", NULL};
    PyObject *module = PyType_GetModule(type);
    if (!module) return NULL;
    module_state *state = PyModule_GetState(module);
    PyObject *tables;
    Py_buffer payload;
    int simd = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!y*|i:GroupDecoder", names, state->tables, &tables,
                                     &payload, &simd)) {
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    DecoderObject *self = (DecoderObject *)allocate(type, 0);
    if (!self) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    self->payload = payload;
    self->ready = 1;
    Py_INCREF(tables);
    self->tables = tables;
    if (simd < -1 || simd > 1) simd = 2; /* the library refuses it */
    aecodec_status status = aecodec_decoder_init(&self->decoder, ((TablesObject *)tables)->tables, payload.buf,
                                                 (size_t)payload.len, (aecodec_simd)simd);
    if (status != AECODEC_OK) {
        raise_status(state->error, status, "group payload", "byte", self->decoder.where);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void decoder_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    DecoderObject *self = (DecoderObject *)object;
    if (self->ready) PyBuffer_Release(&self->payload);
    Py_XDECREF(self->tables);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *decoder_decode(PyObject *object, PyObject *args) {
    DecoderObject *self = (DecoderObject *)object;
    PyObject *index_object, *out_object;
    if (!PyArg_ParseTuple(args, "OO:decode", &index_object, &out_object)) return NULL;
    Py_buffer index, out;
    if (get_items(index_object, &index, "B", 0, "index") < 0) return NULL;
    if (get_items(out_object, &out, "h", 1, "out") < 0) {
        PyBuffer_Release(&index);
        return NULL;
    }
    PyObject *result = NULL;
    if (out.len != 2 * index.len) {
        PyErr_SetString(PyExc_ValueError, "decode: out must have as many items as index");
    } else if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "decode: another thread is using this GroupDecoder");
    } else {
        aecodec_status status;
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        status = aecodec_decoder_decode(&self->decoder, index.buf, out.buf, (size_t)index.len);
        Py_END_ALLOW_THREADS
        self->busy = 0;
        if (status == AECODEC_OK) {
            Py_INCREF(Py_None);
            result = Py_None;
        } else {
            module_state *state = state_of(object);
            if (state) raise_status(state->error, status, "group payload", "byte", self->decoder.where);
        }
    }
    PyBuffer_Release(&index);
    PyBuffer_Release(&out);
    return result;
}

static PyObject *decoder_finish(PyObject *object, PyObject *args) {
    DecoderObject *self = (DecoderObject *)object;
    (void)args;
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "finish: another thread is using this GroupDecoder");
        return NULL;
    }
    aecodec_status status = aecodec_decoder_finish(&self->decoder);
    if (status != AECODEC_OK) {
        module_state *state = state_of(object);
        return state ? raise_status(state->error, status, "group payload", "byte", self->decoder.where) : NULL;
    }
    Py_INCREF(Py_None);
    return Py_None;
}

static PyMethodDef decoder_methods[] = {
    {"decode", decoder_decode, METH_VARARGS,
     "decode(index, out) -> None\n\nDecodes the next symbols into out (int16); index: uint8, as many."},
    {"finish", decoder_finish, METH_NOARGS,
     "finish() -> None\n\nCoreError unless the stream ended exactly here."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_methods, decoder_methods},
    {Py_tp_doc, "GroupDecoder(tables, payload, simd=-1)\n\n"
                "One group being decoded. simd: -1 best available, 0 scalar, 1 AVX2. One thread at a time."},
    {0, NULL},
};
static PyType_Spec decoder_spec = {
    "aecodec._core.GroupDecoder", sizeof(DecoderObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    decoder_slots};

int add_coder_types(PyObject *module) {
    module_state *state = state_of_module(module);
    state->tables = PyType_FromModuleAndSpec(module, &tables_spec, NULL);
    if (!state->tables || PyModule_AddObjectRef(module, "Tables", state->tables) < 0) return -1;
    state->decoder = PyType_FromModuleAndSpec(module, &decoder_spec, NULL);
    if (!state->decoder || PyModule_AddObjectRef(module, "GroupDecoder", state->decoder) < 0) return -1;
    return 0;
}
