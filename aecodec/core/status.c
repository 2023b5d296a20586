/* Names and texts of the results, and the version. */
#include "aecodec.h"

#ifndef AECODEC_VERSION_STRING
#define AECODEC_VERSION_STRING "0.0.0"
#endif

static const struct {
    const char *name;
    const char *text;
} results[] = {
    {"OK", "no error"},
    {"NOT_AEC", "not an aec file"},
    {"BAD_VERSION", "a version of the format that this library does not know"},
    {"UNSUPPORTED", "a feature that this library does not know"},
    {"TRUNCATED", "the data is cut short"},
    {"CORRUPT", "the data is damaged"},
    {"BAD_CRC", "a checksum does not match"},
    {"DUPLICATE_SECTION", "a section appears twice"},
    {"MISSING_SECTION", "a required section is missing"},
    {"BAD_ORDER", "the sections are in a wrong order"},
    {"TRAILING_DATA", "there are bytes after the end"},
    {"LIMIT", "a limit is exceeded"},
    {"BAD_ARGUMENT", "an argument is out of its range"},
    {"BAD_TABLES", "the tables are not valid"},
    {"BAD_INDEX", "an index is not a row of the tables"},
    {"BAD_SYMBOL", "a skipped symbol is not 0"},
    {"NO_SPACE", "the output buffer is too small"},
    {"NO_SIMD", "this machine does not have the SIMD path asked for"},
};

static const unsigned n_results = sizeof results / sizeof results[0];

const char *aecodec_status_name(aecodec_status status) {
    return (unsigned)status < n_results ? results[(unsigned)status].name : "UNKNOWN";
}

const char *aecodec_status_text(aecodec_status status) {
    return (unsigned)status < n_results ? results[(unsigned)status].text : "unknown error";
}

const char *aecodec_version(void) { return AECODEC_VERSION_STRING; }
