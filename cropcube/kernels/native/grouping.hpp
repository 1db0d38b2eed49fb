// Dates grouped by the windows that they are in, for the bindings.
#pragma once

#include "binding.hpp"

namespace cropcube {

// Dates grouped by window: a stable counting sort that drops window -1.
struct Grouping {
    std::vector<std::int32_t> dates, offsets;
    std::size_t longest = 0;

    Grouping(const std::int32_t* window, std::size_t count, std::size_t windows) : offsets(windows + 1, 0) {
        for (std::size_t t = 0; t < count; ++t) {
            if (window[t] < -1 || window[t] >= static_cast<std::int64_t>(windows)) {
                throw nb::value_error("window_T has an entry outside -1 .. windows - 1");
            }
            if (window[t] >= 0) ++offsets[window[t] + 1];
        }
        for (std::size_t w = 0; w < windows; ++w) {
            longest = std::max(longest, static_cast<std::size_t>(offsets[w + 1]));
            offsets[w + 1] += offsets[w];
        }
        dates.resize(offsets[windows]);
        std::vector<std::int32_t> next(offsets.begin(), offsets.end() - 1);
        for (std::size_t t = 0; t < count; ++t) {
            if (window[t] >= 0) dates[next[window[t]]++] = static_cast<std::int32_t>(t);
        }
    }
};

}  // namespace cropcube
