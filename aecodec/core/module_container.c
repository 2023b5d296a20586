/* aecodec._core, the container half: checksums, header, sections and group index.
 *
 * Arguments are checked by the C library; this file only converts. */
#include "module.h"

#include <string.h>

/* Converters for PyArg_Parse: its own unsigned formats drop high bits silently, these raise. */
static int to_u64(PyObject *object, void *out) {
    unsigned long long value = PyLong_AsUnsignedLongLong(object);
    if (value == (unsigned long long)-1 && PyErr_Occurred()) return 0;
    *(uint64_t *)out = value;
    return 1;
}

static int to_u32(PyObject *object, void *out) {
    uint64_t value;
    if (!to_u64(object, &value)) return 0;
    if (value > 0xFFFFFFFFu) {
        PyErr_SetString(PyExc_OverflowError, "a number beyond 32 bits");
        return 0;
    }
    *(uint32_t *)out = (uint32_t)value;
    return 1;
}

PyObject *py_crc32c(PyObject *module, PyObject *args) {
    Py_buffer data;
    uint32_t crc = 0, result;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*|O&:crc32c", &data, to_u32, &crc)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    result = aecodec_crc32c(crc, data.buf, (size_t)data.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(result);
}

PyObject *py_header_write(PyObject *module, PyObject *args) {
    uint32_t flags, width, height, channels, depth, orientation, colour, quality, crc, edge;
    Py_buffer id;
    PyObject *id_object;
    if (!PyArg_ParseTuple(args, "O&O&O&O&O&O&O&O&OO&O&:header_write", to_u32, &flags, to_u32, &width, to_u32,
                          &height, to_u32, &channels, to_u32, &depth, to_u32, &orientation, to_u32, &colour,
                          to_u32, &quality, &id_object, to_u32, &crc, to_u32, &edge) ||
        PyObject_GetBuffer(id_object, &id, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    aecodec_header h = {.version = AECODEC_FORMAT_VERSION,
                        .flags = (uint8_t)flags,
                        .width = width,
                        .height = height,
                        .channels = (uint8_t)channels,
                        .bit_depth = (uint8_t)depth,
                        .orientation = (uint8_t)orientation,
                        .colour = (uint8_t)colour,
                        .quality = (uint16_t)quality,
                        .symbols_crc = crc,
                        .group_edge = (uint8_t)edge};
    int fits = flags < 256 && channels < 256 && depth < 256 && orientation < 256 && colour < 256 &&
               quality < 65536 && edge < 256 && id.len == (Py_ssize_t)sizeof h.model_id;
    if (fits) memcpy(h.model_id, id.buf, sizeof h.model_id);
    PyBuffer_Release(&id);
    uint8_t out[AECODEC_HEADER_SIZE];
    if (!fits || aecodec_header_write(&h, out) != AECODEC_OK) {
        return raise_status(state_of_module(module)->error, AECODEC_BAD_ARGUMENT, "header", "byte", 0);
    }
    return PyBytes_FromStringAndSize((const char *)out, sizeof out);
}

/* Arguments: data, then optionally the limits max_pixels, max_side, max_groups. */
PyObject *py_header_read(PyObject *module, PyObject *args) {
    Py_buffer data;
    aecodec_limits limits = aecodec_limits_default();
    if (!PyArg_ParseTuple(args, "y*|O&O&O&:header_read", &data, to_u64, &limits.max_pixels, to_u32,
                          &limits.max_side, to_u32, &limits.max_groups)) {
        return NULL;
    }
    aecodec_header h;
    size_t where;
    aecodec_status status = aecodec_header_read(data.buf, (size_t)data.len, &h, &where);
    PyBuffer_Release(&data);
    if (status == AECODEC_OK) {
        status = aecodec_header_check(&h, &limits);
        where = 10;
    }
    if (status != AECODEC_OK) {
        return raise_status(state_of_module(module)->error, status, "header", "byte", where);
    }
    uint64_t rows, columns;
    aecodec_group_grid(&h, &rows, &columns);
    return Py_BuildValue("(IIIIIIIIIy#IIKK)", (unsigned)h.version, (unsigned)h.flags, (unsigned)h.width,
                         (unsigned)h.height, (unsigned)h.channels, (unsigned)h.bit_depth,
                         (unsigned)h.orientation, (unsigned)h.colour, (unsigned)h.quality,
                         (const char *)h.model_id, (Py_ssize_t)sizeof h.model_id, (unsigned)h.symbols_crc,
                         (unsigned)h.group_edge, (unsigned long long)rows, (unsigned long long)columns);
}

static PyObject *section_list(const aecodec_section *sections, size_t count) {
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *item = Py_BuildValue("(s#nn)", sections[i].tag, (Py_ssize_t)4,
                                       (Py_ssize_t)sections[i].offset, (Py_ssize_t)sections[i].size);
        if (!item || PyList_Append(list, item) < 0) Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

PyObject *py_sections_read(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"data", "offset", "max_sections", "max_section_size", "unread_gdat", NULL};
    aecodec_limits limits = aecodec_limits_default();
    Py_buffer data;
    Py_ssize_t offset;
    int unread_gdat = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*n|O&O&p:sections_read", names, &data, &offset, to_u32,
                                     &limits.max_sections, to_u32, &limits.max_section_size, &unread_gdat)) {
        return NULL;
    }
    PyObject *result = NULL, *error = state_of_module(module)->error;
    aecodec_section *sections = NULL;
    /* A section takes 9 bytes at least, so the file bounds the number as well as the limit does. */
    size_t capacity = (size_t)data.len / 9 + 1;
    if (capacity > limits.max_sections) capacity = (size_t)limits.max_sections + 1;
    if (offset < 0) {
        raise_status(error, AECODEC_BAD_ARGUMENT, "sections", "byte", 0);
    } else if (!(sections = PyMem_Malloc(capacity * sizeof *sections))) {
        PyErr_NoMemory();
    } else {
        size_t count, where;
        aecodec_status status;
        unsigned options = unread_gdat ? AECODEC_UNREAD_GDAT : 0u;
        Py_BEGIN_ALLOW_THREADS
        status = aecodec_sections_read(data.buf, (size_t)data.len, (size_t)offset, &limits, options, sections,
                                       capacity, &count, &where);
        Py_END_ALLOW_THREADS
        result = status == AECODEC_OK ? section_list(sections, count)
                                      : raise_status(error, status, "sections", "byte", where);
    }
    PyMem_Free(sections);
    PyBuffer_Release(&data);
    return result;
}

PyObject *py_section_write(PyObject *module, PyObject *args) {
    const char *tag;
    Py_ssize_t tag_size;
    Py_buffer payload;
    if (!PyArg_ParseTuple(args, "s#y*:section_write", &tag, &tag_size, &payload)) return NULL;
    uint8_t head[9], tail[4];
    size_t head_size = 0;
    aecodec_status status = AECODEC_BAD_ARGUMENT;
    if (tag_size == 4) {
        status = aecodec_section_frame(tag, payload.buf, (size_t)payload.len, head, &head_size, tail);
    }
    PyObject *result = NULL;
    if (status != AECODEC_OK) {
        raise_status(state_of_module(module)->error, status, "section", "byte", 0);
    } else {
        result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)head_size + payload.len + 4);
    }
    if (result) {
        char *out = PyBytes_AsString(result);
        memcpy(out, head, head_size);
        if (payload.len) memcpy(out + head_size, payload.buf, (size_t)payload.len);
        memcpy(out + head_size + payload.len, tail, 4);
    }
    PyBuffer_Release(&payload);
    return result;
}

PyObject *py_group_index_write(PyObject *module, PyObject *args) {
    PyObject *sizes, *crcs, *result = NULL;
    if (!PyArg_ParseTuple(args, "OO:group_index_write", &sizes, &crcs)) return NULL;
    Py_ssize_t n = PySequence_Size(sizes);
    if (n < 0) return NULL;
    Py_ssize_t m = PySequence_Size(crcs);
    if (m < 0) return NULL;
    if (n != m) {
        PyErr_SetString(PyExc_ValueError, "group_index_write: as many sizes as checksums are needed");
        return NULL;
    }
    if (n > PY_SSIZE_T_MAX / 16) return PyErr_NoMemory();
    aecodec_group_entry *entries = PyMem_Malloc((size_t)n * sizeof *entries + 1);
    uint8_t *out = PyMem_Malloc((size_t)n * 9 + 1);
    if (!entries || !out) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *size = PySequence_GetItem(sizes, i);
        PyObject *crc = size ? PySequence_GetItem(crcs, i) : NULL;
        unsigned long long values[2] = {size ? PyLong_AsUnsignedLongLong(size) : 0,
                                        crc ? PyLong_AsUnsignedLongLong(crc) : 0};
        Py_XDECREF(size);
        Py_XDECREF(crc);
        if (PyErr_Occurred()) goto done;
        if (values[0] > AECODEC_MAX_SECTION || values[1] > 0xFFFFFFFFu) {
            raise_status(state_of_module(module)->error, AECODEC_BAD_ARGUMENT, "group index", "group", (size_t)i);
            goto done;
        }
        entries[i].size = (uint32_t)values[0];
        entries[i].crc = (uint32_t)values[1];
    }
    size_t written = 0;
    aecodec_status status = aecodec_group_index_write(entries, (size_t)n, out, (size_t)n * 9, &written);
    result = status == AECODEC_OK
                 ? PyBytes_FromStringAndSize((const char *)out, (Py_ssize_t)written)
                 : raise_status(state_of_module(module)->error, status, "group index", "byte", 0);
done:
    PyMem_Free(entries);
    PyMem_Free(out);
    return result;
}

PyObject *py_group_index_read(PyObject *module, PyObject *args) {
    Py_buffer payload;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "y*n:group_index_read", &payload, &n)) return NULL;
    PyObject *result = NULL, *error = state_of_module(module)->error;
    aecodec_group_entry *entries = NULL;
    if (n < 0 || payload.len / 5 < n) { /* an entry takes 5 bytes at least: refuse before allocating */
        raise_status(error, AECODEC_TRUNCATED, "group index", "byte", (size_t)payload.len);
    } else if (!(entries = PyMem_Malloc((size_t)n * sizeof *entries + 1))) {
        PyErr_NoMemory();
    } else {
        uint64_t total;
        size_t where;
        aecodec_status status =
            aecodec_group_index_read(payload.buf, (size_t)payload.len, entries, (size_t)n, &total, &where);
        if (status != AECODEC_OK) {
            raise_status(error, status, "group index", "byte", where);
        } else {
            result = PyList_New(0);
            for (Py_ssize_t i = 0; result && i < n; i++) {
                PyObject *item = Py_BuildValue("(II)", (unsigned)entries[i].size, (unsigned)entries[i].crc);
                if (!item || PyList_Append(result, item) < 0) Py_CLEAR(result);
                Py_XDECREF(item);
            }
        }
    }
    PyMem_Free(entries);
    PyBuffer_Release(&payload);
    return result;
}
