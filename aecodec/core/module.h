/* Shared by the three files of the Python binding, aecodec._core. */
#ifndef AECODEC_MODULE_H
#define AECODEC_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "aecodec.h"

typedef struct {
    PyObject *error;   /* CoreError */
    PyObject *tables;  /* the type Tables */
    PyObject *decoder; /* the type GroupDecoder */
} module_state;

/* The state of the module that `object`, a module, belongs to. */
module_state *state_of_module(PyObject *module);

/* Raises CoreError with .status, .name and .offset; the message says what failed and at which unit
 * ("byte", "symbol", "row"). Returns NULL. */
PyObject *raise_status(PyObject *error, aecodec_status status, const char *what, const char *unit,
                       size_t offset);

/* module_container.c */
PyObject *py_crc32c(PyObject *module, PyObject *args);
PyObject *py_header_write(PyObject *module, PyObject *args);
PyObject *py_header_read(PyObject *module, PyObject *args);
PyObject *py_section_write(PyObject *module, PyObject *args);
PyObject *py_group_index_write(PyObject *module, PyObject *args);
PyObject *py_group_index_read(PyObject *module, PyObject *args);
PyObject *py_sections_read(PyObject *module, PyObject *args, PyObject *kwargs);

/* module_coder.c */
/* Adds the types Tables and GroupDecoder to the module. 0 or -1. */
int add_coder_types(PyObject *module);

PyObject *py_encode_group(PyObject *module, PyObject *args, PyObject *kwargs);
extern const char encode_group_doc[];

#endif
