/* Which integer arithmetic the CPU has: whether sums of products of bytes are exact and fast.
 *
 * x86 without VNNI multiplies bytes with an instruction whose sums of two are cut to 16 bits. */
#include "aecodec.h"

#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>

#define AVX512_VNNI_ECX (1u << 11) /* leaf 7, subleaf 0 */
#define AVX_VNNI_EAX (1u << 4)     /* leaf 7, subleaf 1 */

aecodec_dot aecodec_dot_product(void) {
    unsigned eax, ebx, ecx, edx;
    /* The compiler's own test asks the operating system, too, whether it saves these registers. */
    if (__builtin_cpu_supports("avx512vl") && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
        (ecx & AVX512_VNNI_ECX)) {
        return AECODEC_DOT_FAST;
    }
    if (__builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) &&
        (eax & AVX_VNNI_EAX)) {
        return AECODEC_DOT_FAST;
    }
    return AECODEC_DOT_SATURATES;
}
#elif defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
aecodec_dot aecodec_dot_product(void) { return AECODEC_DOT_SATURATES; }
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

#define HWCAP_DOT_PRODUCT (1ul << 20) /* ASIMDDP */

aecodec_dot aecodec_dot_product(void) {
    return getauxval(AT_HWCAP) & HWCAP_DOT_PRODUCT ? AECODEC_DOT_FAST : AECODEC_DOT_SLOW;
}
#elif defined(__aarch64__) && defined(__APPLE__)
aecodec_dot aecodec_dot_product(void) { return AECODEC_DOT_FAST; } /* every Apple CPU with macOS on Arm */
#else
aecodec_dot aecodec_dot_product(void) { return AECODEC_DOT_SLOW; }
#endif
