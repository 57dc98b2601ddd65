// The setting that all calls of OpenBLAS share.
#pragma once
#include "autodiff/parallel.hpp"

namespace wengert {

// Until the end of the scope OpenBLAS computes on the calling thread alone, whatever anybody told it. The flavour with
// OpenMP asks OpenMP for the number of threads at every call, and being told sets OpenMP's number for all that follows
// on this thread.
class OpenblasAlone {
 public:
  OpenblasAlone();

 private:
  OneThread guard_;
};

}  // namespace wengert
