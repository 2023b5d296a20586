/* aecodec._core: the module, its table of functions and how it raises errors.
 *
 * CPython stable ABI (3.11), multi-phase initialisation, no static state. */
#include "module.h"

#include <string.h>

module_state *state_of_module(PyObject *module) { return PyModule_GetState(module); }

PyObject *raise_status(PyObject *error, aecodec_status status, const char *what, const char *unit,
                       size_t offset) {
    PyObject *message =
        PyUnicode_FromFormat("%s: %s at %s %zu (%s)", what, aecodec_status_text(status), unit, offset,
                             aecodec_status_name(status));
    PyObject *exception = message ? PyObject_CallFunctionObjArgs(error, message, NULL) : NULL;
    Py_XDECREF(message);
    if (!exception) return NULL;
    PyObject *number = PyLong_FromLong((long)status);
    PyObject *name = PyUnicode_FromString(aecodec_status_name(status));
    PyObject *where = PyLong_FromSize_t(offset);
    if (number && name && where && PyObject_SetAttrString(exception, "status", number) == 0 &&
        PyObject_SetAttrString(exception, "name", name) == 0 &&
        PyObject_SetAttrString(exception, "offset", where) == 0) {
        PyErr_SetObject(error, exception);
    }
    Py_XDECREF(number);
    Py_XDECREF(name);
    Py_XDECREF(where);
    Py_DECREF(exception);
    return NULL;
}

/* Takes a contiguous buffer of native items of one type; a TypeError says which argument is wrong. */
int get_items(PyObject *object, Py_buffer *view, const char *format, int writable, const char *name) {
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

static PyObject *py_simd_available(PyObject *module, PyObject *args) {
    (void)module;
    (void)args;
    return PyLong_FromLong((long)aecodec_simd_available());
}

static PyObject *py_dot_product(PyObject *module, PyObject *args) {
    (void)module;
    (void)args;
    return PyLong_FromLong((long)aecodec_dot_product());
}

static PyObject *py_version(PyObject *module, PyObject *args) {
    (void)module;
    (void)args;
    return PyUnicode_FromString(aecodec_version());
}

#define WITH_KEYWORDS(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef methods[] = {
    {"crc32c", py_crc32c, METH_VARARGS, "crc32c(data, crc=0) -> int"},
    {"header_write", py_header_write, METH_VARARGS,
     "header_write(flags, width, height, channels, bit_depth, orientation, colour, quality, model_id, "
     "symbols_crc, group_edge) -> bytes"},
    {"header_read", py_header_read, METH_VARARGS,
     "header_read(data, max_pixels, max_side, max_groups) -> (version, flags, width, height, channels, "
     "bit_depth, orientation, colour, quality, model_id, symbols_crc, group_edge, group_rows, "
     "group_columns)"},
    {"sections_read", WITH_KEYWORDS(py_sections_read), METH_VARARGS | METH_KEYWORDS,
     "sections_read(data, offset, max_sections, max_section_size, unread_gdat=False) -> [(tag, offset, size)]"},
    {"section_write", py_section_write, METH_VARARGS, "section_write(tag, payload) -> bytes"},
    {"group_index_write", py_group_index_write, METH_VARARGS, "group_index_write(sizes, crcs) -> bytes"},
    {"group_index_read", py_group_index_read, METH_VARARGS,
     "group_index_read(payload, n_groups) -> [(size, crc)]"},
    {"encode_group", WITH_KEYWORDS(py_encode_group), METH_VARARGS | METH_KEYWORDS, encode_group_doc},
    {"simd_available", py_simd_available, METH_NOARGS, "simd_available() -> 0 none, 1 AVX2"},
    {"dot_product", py_dot_product, METH_NOARGS,
     "dot_product() -> sums of products of bytes: 0 cut to 16 bits (x86 without VNNI), 1 exact and fast (VNNI, "
     "Arm's dot product), 2 exact"},
    {"version", py_version, METH_NOARGS, "version() -> str"},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    module_state *state = state_of_module(module);
    state->error = PyErr_NewExceptionWithDoc(
        "aecodec._core.CoreError",
        "A failure of the C core: .status (int), .name (str), .offset (int: byte, symbol or row).", NULL, NULL);
    if (!state->error || PyModule_AddObjectRef(module, "CoreError", state->error) < 0) return -1;
    return add_tables_type(module) < 0 || add_context_type(module) < 0 || add_decoder_type(module) < 0 ? -1 : 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    module_state *state = state_of_module(module);
    if (!state) return 0;
    Py_VISIT(state->error);
    Py_VISIT(state->tables);
    Py_VISIT(state->decoder);
    Py_VISIT(state->context);
    return 0;
}

static int module_clear(PyObject *module) {
    module_state *state = state_of_module(module);
    if (!state) return 0;
    Py_CLEAR(state->error);
    Py_CLEAR(state->tables);
    Py_CLEAR(state->decoder);
    Py_CLEAR(state->context);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_core",
    .m_doc = "The C core of aecodec: container and entropy coder.",
    .m_size = sizeof(module_state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&definition); }
