/* aecodec._core, the coder half: GroupDecoder.
 *
 * The GIL is released around the coding loops, see module_coder.c. */
#include "module.h"

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
    aecodec_status status = aecodec_decoder_init(&self->decoder, tables_of(tables), payload.buf,
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

/* None, or the CoreError of a status. */
static PyObject *result_of(PyObject *object, aecodec_status status) {
    if (status == AECODEC_OK) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    module_state *state = state_of(object);
    return state ? raise_status(state->error, status, "group payload", "byte", ((DecoderObject *)object)->decoder.where)
                 : NULL;
}

static int is_busy(const DecoderObject *self, const char *method) {
    if (self->busy) PyErr_Format(PyExc_RuntimeError, "%s: another thread is using this GroupDecoder", method);
    return self->busy;
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
    } else if (!is_busy(self, "decode")) {
        aecodec_status status;
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        status = aecodec_decoder_decode(&self->decoder, index.buf, out.buf, (size_t)index.len);
        Py_END_ALLOW_THREADS
        self->busy = 0;
        result = result_of(object, status);
    }
    PyBuffer_Release(&index);
    PyBuffer_Release(&out);
    return result;
}

static PyObject *decoder_decode_z(PyObject *object, PyObject *args) {
    DecoderObject *self = (DecoderObject *)object;
    module_state *state = state_of(object);
    PyObject *context_object, *row_object, *out_object;
    if (!state || !PyArg_ParseTuple(args, "O!OO:decode_z", state->context, &context_object, &row_object, &out_object)) {
        return NULL;
    }
    const aecodec_z_context *context = context_of(context_object);
    Py_buffer z_row, out;
    size_t height, width;
    if (get_items(row_object, &z_row, "B", 0, "z_row") < 0) return NULL;
    if (get_z(context, &z_row, out_object, &out, 1, "out", &height, &width) < 0) {
        PyBuffer_Release(&z_row);
        return NULL;
    }
    PyObject *result = NULL;
    size_t count = (size_t)out.len / 2;
    int16_t *scratch = PyMem_Malloc(count * 5 + 1); /* two arrays of int16, one of uint8 */
    if (!scratch) {
        PyErr_NoMemory();
    } else if (!is_busy(self, "decode_z")) {
        aecodec_status status;
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        status = aecodec_decoder_decode_z(&self->decoder, context, z_row.buf, height, width, out.buf, scratch,
                                          scratch + count, (uint8_t *)(scratch + 2 * count));
        Py_END_ALLOW_THREADS
        self->busy = 0;
        result = result_of(object, status);
    }
    PyMem_Free(scratch);
    PyBuffer_Release(&z_row);
    PyBuffer_Release(&out);
    return result;
}

static PyObject *decoder_finish(PyObject *object, PyObject *args) {
    DecoderObject *self = (DecoderObject *)object;
    (void)args;
    return is_busy(self, "finish") ? NULL : result_of(object, aecodec_decoder_finish(&self->decoder));
}

static PyMethodDef decoder_methods[] = {
    {"decode", decoder_decode, METH_VARARGS,
     "decode(index, out) -> None\n\nDecodes the next symbols into out (int16); index: uint8, as many."},
    {"decode_z", decoder_decode_z, METH_VARARGS,
     "decode_z(context, z_row, out) -> None\n\nDecodes the z of a group into out (int16 [Z, h, w]); z_row: uint8 "
     "[Z]."},
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

int add_decoder_type(PyObject *module) {
    module_state *state = state_of_module(module);
    state->decoder = PyType_FromModuleAndSpec(module, &decoder_spec, NULL);
    return state->decoder ? PyModule_AddObjectRef(module, "GroupDecoder", state->decoder) : -1;
}
