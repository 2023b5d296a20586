/* aecodec._core, the coder half: ZContext, what a model knows about the neighbours of z.
 *
 * The GIL is released around the coding loops, see module_coder.c. */
#include "module.h"

#include <string.h>

typedef struct {
    PyObject_HEAD
    aecodec_z_context context;
    void *memory; /* its arrays */
} ContextObject;

const aecodec_z_context *context_of(PyObject *object) { return &((ContextObject *)object)->context; }

int get_z(const aecodec_z_context *context, const Py_buffer *z_row, PyObject *object, Py_buffer *view, int writable,
          const char *name, size_t *height, size_t *width) {
    if (get_items(object, view, "h", writable, name) < 0) return -1;
    if (view->ndim == 3 && (size_t)view->shape[0] == context->channels && (size_t)z_row->len == context->channels) {
        *height = (size_t)view->shape[1];
        *width = (size_t)view->shape[2];
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s: an array [%zu, h, w] and as many rows of z are needed", name,
                 context->channels);
    PyBuffer_Release(view);
    return -1;
}

/* Copies the arrays, so that nobody can change them. ValueError when they do not fit together. */
static int fill(ContextObject *self, size_t channels, unsigned lowest, const Py_buffer *size,
                const Py_buffer *weight, const Py_buffer *activity, const Py_buffer *step) {
    aecodec_z_context *context = &self->context;
    size_t rows = (size_t)size->len / 2;
    if (channels < 1 || lowest < 1 || rows < 1 || lowest + rows > AECODEC_MAX_ROWS ||
        (size_t)weight->len != (AECODEC_Z_PASSES - 1) * channels ||
        (size_t)activity->len != sizeof context->activity || (size_t)step->len != sizeof context->step) {
        PyErr_SetString(PyExc_ValueError, "context of z: its arrays do not fit together");
        return -1;
    }
    self->memory = PyMem_Malloc((size_t)(size->len + weight->len) + 1);
    if (!self->memory) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(self->memory, size->buf, (size_t)size->len);
    int8_t *weights = (int8_t *)self->memory + size->len;
    memcpy(weights, weight->buf, (size_t)weight->len);
    memcpy(context->activity, activity->buf, sizeof context->activity);
    memcpy(context->step, step->buf, sizeof context->step);
    context->channels = channels;
    context->lowest = lowest;
    context->n_rows = lowest + (unsigned)rows;
    context->size = self->memory;
    context->weight = weights;
    return 0;
}

static PyObject *context_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"channels", "lowest", "size", "weight", "activity", "step", NULL};
    static const char *const formats[] = {"H", "b", "H", "b"};
    PyObject *objects[4], *result = NULL;
    unsigned char channels, lowest;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "bbOOOO:ZContext", names, &channels, &lowest, &objects[0],
                                     &objects[1], &objects[2], &objects[3])) {
        return NULL;
    }
    Py_buffer views[4];
    int taken = 0;
    while (taken < 4 && get_items(objects[taken], &views[taken], formats[taken], 0, names[taken + 2]) == 0) taken++;
    if (taken == 4) {
        allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
        result = allocate(type, 0);
        if (result && fill((ContextObject *)result, channels, lowest, &views[0], &views[1], &views[2], &views[3]) < 0) {
            Py_DECREF(result);
            result = NULL;
        }
    }
    while (taken) PyBuffer_Release(&views[--taken]);
    return result;
}

static void context_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(((ContextObject *)self)->memory);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *context_symbols(PyObject *object, PyObject *args) {
    const aecodec_z_context *context = context_of(object);
    PyObject *row_object, *z_object, *symbols_object, *index_object, *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOO:symbols", &row_object, &z_object, &symbols_object, &index_object)) return NULL;
    PyObject *module = PyType_GetModule(Py_TYPE(object));
    if (!module) return NULL;
    Py_buffer z_row, z, symbols, index;
    size_t height, width;
    if (get_items(row_object, &z_row, "B", 0, "z_row") < 0) return NULL;
    if (get_z(context, &z_row, z_object, &z, 0, "z", &height, &width) < 0) goto no_z;
    if (get_items(symbols_object, &symbols, "h", 1, "symbols") < 0) goto no_symbols;
    if (get_items(index_object, &index, "B", 1, "index") < 0) goto no_index;
    if (symbols.len != z.len * (Py_ssize_t)AECODEC_Z_PASSES || 2 * index.len != symbols.len) {
        PyErr_SetString(PyExc_ValueError, "symbols: five times as many symbols and indices as z has are needed");
    } else {
        size_t where;
        aecodec_status status;
        Py_BEGIN_ALLOW_THREADS
        status = aecodec_z_symbols(context, z_row.buf, z.buf, height, width, symbols.buf, index.buf, &where);
        Py_END_ALLOW_THREADS
        if (status != AECODEC_OK) {
            const char *unit = status == AECODEC_BAD_INDEX ? "channel" : "symbol";
            raise_status(((module_state *)PyModule_GetState(module))->error, status, "z", unit, where);
        } else {
            Py_INCREF(Py_None);
            result = Py_None;
        }
    }
    PyBuffer_Release(&index);
no_index:
    PyBuffer_Release(&symbols);
no_symbols:
    PyBuffer_Release(&z);
no_z:
    PyBuffer_Release(&z_row);
    return result;
}

static PyMethodDef context_methods[] = {
    {"symbols", context_symbols, METH_VARARGS,
     "symbols(z_row, z, symbols, index) -> None\n\nWhat is coded for z (int16 [Z, h, w]), pass by pass, into symbols "
     "(int16 [5, Z, h, w]) and index (uint8, as many); z_row: uint8 [Z]."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot context_slots[] = {
    {Py_tp_new, context_new},
    {Py_tp_dealloc, context_dealloc},
    {Py_tp_methods, context_methods},
    {Py_tp_doc, "ZContext(channels, lowest, size, weight, activity, step)\n\n"
                "size: uint16, of each row from `lowest` on; weight: int8 [4, channels]; activity: uint16 [4]; step:\n"
                "int8 [5, 7, 5]. ValueError when they do not fit together. Immutable, shared by threads."},
    {0, NULL},
};
static PyType_Spec context_spec = {
    "aecodec._core.ZContext", sizeof(ContextObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    context_slots};

int add_context_type(PyObject *module) {
    module_state *state = state_of_module(module);
    state->context = PyType_FromModuleAndSpec(module, &context_spec, NULL);
    return state->context ? PyModule_AddObjectRef(module, "ZContext", state->context) : -1;
}
