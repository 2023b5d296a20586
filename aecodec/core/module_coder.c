/* aecodec._core, the coder half: Tables and encode_group. GroupDecoder is in module_decoder.c.
 *
 * Buffers are taken as they are (C-contiguous, right item type, no copies) and the GIL is released
 * around the coding loops. Memory stays safe even when another thread changes a buffer meanwhile: where the
 * C library reads and writes is bounded by sizes that stand in no buffer, and all 256 rows of the tables
 * exist, so that an index that was not the one checked is one of them, too. */
#include "module.h"

#include <stdint.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    void *memory;           /* what was allocated */
    aecodec_tables *tables; /* in it, aligned to a cache line so that no row straddles two */
} TablesObject;

/* ------------------------------------------------------------------ Tables */

const aecodec_tables *tables_of(PyObject *object) { return ((TablesObject *)object)->tables; }

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
    "encode_group(tables, symbols, index, lanes_log2=-1) -> bytes\n\n"
    "symbols: int16; index: uint8, as many. lanes_log2 -1 chooses.";

PyObject *py_encode_group(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tables", "symbols", "index", "lanes_log2", NULL};
    module_state *state = state_of_module(module);
    PyObject *tables, *symbols_object, *index_object, *result = NULL;
    int lanes_log2 = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO|i:encode_group", names, state->tables, &tables,
                                     &symbols_object, &index_object, &lanes_log2)) {
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
        const aecodec_tables *t = tables_of(tables);
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

int add_tables_type(PyObject *module) {
    module_state *state = state_of_module(module);
    state->tables = PyType_FromModuleAndSpec(module, &tables_spec, NULL);
    return state->tables ? PyModule_AddObjectRef(module, "Tables", state->tables) : -1;
}
