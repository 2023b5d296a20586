/* Shared by the files of the Python binding, aecodec._core. */
#ifndef AECODEC_MODULE_H
#define AECODEC_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "aecodec.h"

typedef struct {
    PyObject *error;   /* CoreError */
    PyObject *tables;  /* the type Tables */
    PyObject *context; /* the type ZContext */
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

/* Takes a contiguous buffer of native items of one type; a TypeError says which argument is wrong. */
int get_items(PyObject *object, Py_buffer *view, const char *format, int writable, const char *name);

/* module_coder.c */
PyObject *py_encode_group(PyObject *module, PyObject *args, PyObject *kwargs);
extern const char encode_group_doc[];
const aecodec_tables *tables_of(PyObject *tables);

/* module_context.c */
const aecodec_z_context *context_of(PyObject *context);

/* Takes an int16 buffer [channels, height, width]; ValueError unless it and z_row fit the context. */
int get_z(const aecodec_z_context *context, const Py_buffer *z_row, PyObject *object, Py_buffer *view, int writable,
          const char *name, size_t *height, size_t *width);

/* Each adds its type to the module. 0 or -1. */
int add_tables_type(PyObject *module);
int add_context_type(PyObject *module);
int add_decoder_type(PyObject *module); /* after that of the context */

#endif
