// ScanRange: the steps that a scan takes, and what it gives.
#pragma once
#include "autodiff/dtype.hpp"

namespace wengert {

struct ScanRange {
  Index length = 0;
  bool reverse = false;
  bool gives_carry = true;  // else ys alone
};

}  // namespace wengert
