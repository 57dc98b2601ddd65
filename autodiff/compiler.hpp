// The flags that every source that includes Wengert has to be compiled with. Inline functions of the headers are
// compiled into the libraries and into programs, and a program keeps one of the two: they have to be the same.
#pragma once

// The bytes of a vector, as xsimd chooses them.
#if defined(__AVX512F__)
#define WENGERT_VECTOR_BYTES_HERE 64
#elif defined(__AVX__)
#define WENGERT_VECTOR_BYTES_HERE 32
#else
#define WENGERT_VECTOR_BYTES_HERE 16
#endif

#if __cplusplus < 202002L
#error "Wengert needs C++20: compile with -std=c++20 (CMake: CMAKE_CXX_STANDARD 20; Meson: cpp_std=c++20)"
#elif !defined(WENGERT_VECTOR_BYTES)
#error "Wengert's flags are missing: add `pkg-config --cflags wengert`, or use its CMake target or Meson dependency"
#elif WENGERT_VECTOR_BYTES != WENGERT_VECTOR_BYTES_HERE
#error "Wengert was built for vectors of another width: give no -march but Wengert's; with native, build it here"
#elif !defined(__FMA__) && !defined(__aarch64__)
#error "Wengert needs fused multiply-adds: add -march=native or -march=x86-64-v3 (its own build: -Dcpu=native)"
#elif defined(__FAST_MATH__)
#error "Wengert keeps the order of sums and tells NaN from numbers: leave out -ffast-math and -Ofast"
#endif

#undef WENGERT_VECTOR_BYTES_HERE
