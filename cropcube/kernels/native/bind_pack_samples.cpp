#include "binding.hpp"
#include "pack_samples.hpp"

namespace cropcube {

using MediansToFloat = PackSamples<std::uint16_t, float>;
using Medians = PackSamples<std::uint16_t, std::uint16_t>;
using Terms = PackSamples<float, float>;

CROPCUBE_DECLARE(void pack_samples(const Medians&, std::size_t begin, std::size_t end, std::uint16_t* scratch);
                 void pack_samples(const MediansToFloat&, std::size_t begin, std::size_t end, std::uint16_t* scratch);
                 void pack_samples(const Terms&, std::size_t begin, std::size_t end, float* scratch);
                 void take_scaled(const TakeScaled<std::uint16_t>& work, std::size_t count);
                 void take_scaled(const TakeScaled<float>& work, std::size_t count);)

namespace {

template <typename T, typename R>
using Packer = void (*)(const PackSamples<T, R>&, std::size_t, std::size_t, T*);
template <typename R>
using Taker = void (*)(const TakeScaled<R>&, std::size_t);

std::vector<std::uint64_t> inverses_of_spans() {
    std::vector<std::uint64_t> found(MOST_STEPS, 0);
    for (std::uint64_t span = 1; span < MOST_STEPS; ++span) found[span] = (std::uint64_t{1} << 44) / (2 * span) + 1;
    return found;
}

template <typename T, typename R>
void pack_samples(Input<T, 4> source, Input<std::int64_t, 1> pixel, Input<std::int64_t, 1> row,
                  Input<std::int32_t, 1> band, std::size_t first, Output<R, 3> rows, std::size_t threads,
                  const std::string& variant) {
    const std::size_t steps = source.shape(0), bands = source.shape(1), pixels = source.shape(2) * source.shape(3);
    const std::size_t samples = pixel.shape(0), stop = first + rows.shape(2);
    const bool fits = band.shape(0) == bands && row.shape(0) == samples && rows.shape(0) == samples;
    if (!fits || stop > steps || steps > MOST_STEPS) {
        throw nb::value_error("shapes do not fit");
    }
    for (std::size_t b = 0; b < bands; ++b) {
        if (band(b) < 0 || static_cast<std::size_t>(band(b)) >= rows.shape(1)) throw nb::value_error("no such band");
    }
    for (std::size_t n = 0; n < samples; ++n) {
        if (pixel(n) < 0 || static_cast<std::size_t>(pixel(n)) >= pixels) throw nb::value_error("no such pixel");
        if (row(n) < 0 || static_cast<std::size_t>(row(n)) >= samples) throw nb::value_error("no such row");
    }
    static const std::vector<std::uint64_t> inverses = inverses_of_spans();
    const PackSamples<T, R> work{source.data(), pixel.data(), row.data(), band.data(), steps, bands, pixels,
                              first, stop, rows.shape(1), rows.data(), inverses.data()};
    using Function = Packer<T, R>;
    const Function packer = CROPCUBE_FUNCTION(Function, pack_samples, variant);
    const std::size_t scratch = PACKED_TOGETHER * bands * steps;
    constexpr std::size_t SHARED = 8 * PACKED_TOGETHER;
    nb::gil_scoped_release release;
    std::vector<std::vector<T>> held(std::max<std::size_t>(1, threads));
    share((samples + SHARED - 1) / SHARED, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(scratch);
        packer(work, i * SHARED, std::min(samples, (i + 1) * SHARED), held[thread].data());
    });
}

template <typename R>
void take_scaled(Input<R, 2> rows, Input<std::int64_t, 1> which, Input<float, 2> scale, Output<float, 2> taken) {
    const std::size_t length = rows.shape(1), count = which.shape(0);
    if (scale.shape(0) != 2 || scale.shape(1) != length || taken.shape(0) != count || taken.shape(1) != length) {
        throw nb::value_error("shapes do not fit");
    }
    for (std::size_t n = 0; n < count; ++n) {
        if (which(n) < 0 || static_cast<std::size_t>(which(n)) >= rows.shape(0)) throw nb::index_error("no such row");
    }
    const TakeScaled<R> work{rows.data(), which.data(), scale.data(), scale.data() + length, length, taken.data()};
    const Taker<R> taker = CROPCUBE_FUNCTION(Taker<R>, take_scaled, "");
    nb::gil_scoped_release release;
    taker(work, count);
}

}  // namespace

void bind_pack_samples(nb::module_& module) {
    const auto pack = [&](auto function) {
        module.def("pack_samples", function, nb::arg("source").noconvert(), nb::arg("pixel").noconvert(),
                   nb::arg("row").noconvert(), nb::arg("band").noconvert(), nb::arg("first"),
                   nb::arg("rows").noconvert(), nb::arg("threads"), nb::arg("variant"),
                   "Write rows (samples, bands, steps) of pixels of features (steps, bands, y, x), gaps filled.");
    };
    pack(&pack_samples<std::uint16_t, std::uint16_t>);
    pack(&pack_samples<std::uint16_t, float>);
    pack(&pack_samples<float, float>);
    const auto take = [&](auto function) {
        module.def("take_scaled", function, nb::arg("rows").noconvert(), nb::arg("which").noconvert(),
                   nb::arg("scale").noconvert(), nb::arg("taken").noconvert(),
                   "Write (rows[which] - scale[0]) / scale[1] into the last array.");
    };
    take(&take_scaled<std::uint16_t>);
    take(&take_scaled<float>);
}

}  // namespace cropcube
