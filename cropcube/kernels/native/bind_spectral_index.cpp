#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include "binding.hpp"
#include "spectral_index.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void spectral_index(const SpectralIndices& work, std::size_t step, std::size_t y, float* found);
                 void index_statistics(const SpectralIndices& work, const std::int32_t* order, const float* days,
                                       std::size_t steps, std::size_t y, float* found);)

namespace {

using EachStep = void (*)(const SpectralIndices&, std::size_t, std::size_t, float*);
using OverSteps = void (*)(const SpectralIndices&, const std::int32_t*, const float*, std::size_t, std::size_t, float*);
using Values = Input<std::uint16_t, 4>;
using Seen = Input<bool, 3>;
// Values of one resolution and where they are seen (without it, where they are not 0).
using Sources = std::vector<std::pair<Values, std::optional<Seen>>>;

// The arguments that both functions share, checked.
struct Asked {
    std::vector<IndexSource> sources;
    std::vector<IndexTerm> terms;
    SpectralIndices work;
    std::size_t steps;

    Asked(const Sources& given, const Input<std::int32_t, 2>& places, const Input<float, 2>& weights,
          const Input<std::int32_t, 1>& offsets, const Input<float, 2>& constants, std::size_t indices,
          std::size_t height, std::size_t width)
        : steps(given.empty() ? 0 : given[0].first.shape(0)) {
        for (const auto& [values, seen] : given) {
            const std::size_t factor = height ? values.shape(2) / height : width ? values.shape(3) / width : 1;
            const bool fits = values.shape(0) == steps && factor > 0 && values.shape(2) == height * factor &&
                              values.shape(3) == width * factor &&
                              (!seen || (seen->shape(0) == steps && seen->shape(1) == values.shape(2) &&
                                         seen->shape(2) == values.shape(3)));
            if (!fits) throw nb::value_error("shapes do not fit");
            const auto* mask = seen ? reinterpret_cast<const std::uint8_t*>(seen->data()) : nullptr;
            sources.push_back({values.data(), mask, values.shape(1), factor});
        }
        const std::size_t count = places.shape(0);
        bool fits = places.shape(1) == 2 && weights.shape(0) == count && weights.shape(1) == 2 &&
                    offsets.shape(0) == indices + 1 && constants.shape(0) == indices && constants.shape(1) == 2;
        for (std::size_t i = 0; fits && i <= indices; ++i) {
            const std::int64_t here = offsets.data()[i], before = i ? offsets.data()[i - 1] : 0;
            fits = here >= before && here <= static_cast<std::int64_t>(count) && here - before <= MOST_TERMS_OF_INDEX;
        }
        for (std::size_t t = 0; fits && t < count; ++t) {
            const std::int32_t source = places.data()[2 * t], band = places.data()[2 * t + 1];
            fits = source >= 0 && source < static_cast<std::int64_t>(sources.size()) && band >= 0 &&
                   band < static_cast<std::int64_t>(sources[source].bands);
            terms.push_back({source, band, weights.data()[2 * t], weights.data()[2 * t + 1]});
        }
        if (!fits) throw nb::value_error("the indices' terms do not fit");
        work = {sources.data(), terms.data(), offsets.data(), constants.data(), indices, height, width};
    }
};

void spectral_index(const Sources& sources, Input<std::int32_t, 2> places, Input<float, 2> weights,
                    Input<std::int32_t, 1> offsets, Input<float, 2> constants, Output<float, 4> found,
                    std::size_t threads, const std::string& variant) {
    const Asked asked(sources, places, weights, offsets, constants, found.shape(1), found.shape(2), found.shape(3));
    if (found.shape(0) != asked.steps) throw nb::value_error("shapes do not fit");
    const EachStep kernel = CROPCUBE_FUNCTION(EachStep, spectral_index, variant);
    const std::size_t height = found.shape(2);
    nb::gil_scoped_release release;
    share(asked.steps * height, threads, [&](std::size_t, std::size_t i) {
        kernel(asked.work, i / height, i % height, found.data());
    });
}

void index_statistics(const Sources& sources, Input<std::int32_t, 2> places, Input<float, 2> weights,
                      Input<std::int32_t, 1> offsets, Input<float, 2> constants, Input<std::int32_t, 1> order,
                      Input<float, 1> days, Output<float, 4> found, std::size_t threads, const std::string& variant) {
    const Asked asked(sources, places, weights, offsets, constants, found.shape(1), found.shape(2), found.shape(3));
    bool fits = found.shape(0) == STATISTICS && order.shape(0) == asked.steps && days.shape(0) == asked.steps;
    for (std::size_t k = 0; fits && k < asked.steps; ++k) {
        fits = order.data()[k] >= 0 && order.data()[k] < static_cast<std::int64_t>(asked.steps);
    }
    if (!fits) throw nb::value_error("shapes do not fit");
    const OverSteps kernel = CROPCUBE_FUNCTION(OverSteps, index_statistics, variant);
    nb::gil_scoped_release release;
    share(found.shape(2), threads, [&](std::size_t, std::size_t y) {
        kernel(asked.work, order.data(), days.data(), asked.steps, y, found.data());
    });
}

}  // namespace

void bind_spectral_index(nb::module_& module) {
    module.def("spectral_index", &spectral_index, nb::arg("sources"), nb::arg("places").noconvert(),
               nb::arg("weights").noconvert(), nb::arg("offsets").noconvert(), nb::arg("constants").noconvert(),
               nb::arg("found").noconvert(), nb::arg("threads"), nb::arg("variant"),
               "Write indices (step, index, y, x) into the last array.");
    module.def("index_statistics", &index_statistics, nb::arg("sources"), nb::arg("places").noconvert(),
               nb::arg("weights").noconvert(), nb::arg("offsets").noconvert(), nb::arg("constants").noconvert(),
               nb::arg("order").noconvert(), nb::arg("days").noconvert(), nb::arg("found").noconvert(),
               nb::arg("threads"), nb::arg("variant"),
               "Write statistics (statistic, index, y, x) of indices over the steps into the last array.");
}

}  // namespace cropcube
