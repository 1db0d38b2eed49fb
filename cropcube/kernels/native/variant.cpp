// The kernels for one instruction set. CMake compiles this file once per set, with CROPCUBE_VARIANT its name; it uses
// no library function that could be shared with (and then leak into) a file compiled for a smaller set.
#include "window_median.hpp"

namespace cropcube::CROPCUBE_VARIANT {

void window_median(const WindowMedian& work, std::size_t first, std::size_t stop, std::int16_t* scratch) {
    reduce_pixels(work, first, stop, scratch);
}

}  // namespace cropcube::CROPCUBE_VARIANT
