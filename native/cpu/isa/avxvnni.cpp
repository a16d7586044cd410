#include "../isa_avxvnni.h"

#include "../kernels.inc"
