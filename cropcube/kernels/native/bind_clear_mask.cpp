#include "binding.hpp"
#include "clear_mask.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void clear_mask(const ClearMask& work, std::size_t date, std::uint8_t* scratch);)

namespace {

using Masker = void (*)(const ClearMask&, std::size_t, std::uint8_t*);

void clear_mask(Input<std::uint8_t, 3> quality, Input<std::uint8_t, 1> kind, std::size_t radius, std::size_t row,
                std::size_t col, std::size_t repeats, Input<std::uint16_t, 4> reflectance, Output<bool, 3> clear,
                std::size_t threads, const std::string& variant) {
    const std::size_t dates = quality.shape(0), height = quality.shape(1), width = quality.shape(2);
    const bool whole = repeats > 0 && clear.shape(1) % repeats == 0 && clear.shape(2) % repeats == 0;
    const std::size_t rows = whole ? clear.shape(1) / repeats : 0, cols = whole ? clear.shape(2) / repeats : 0;
    const bool fits = whole && kind.shape(0) == 256 && row + rows <= height && col + cols <= width &&
                      clear.shape(0) == dates && radius < 1u << 16 &&
                      (reflectance.shape(1) == 0 ||
                       (reflectance.shape(0) == dates && reflectance.shape(2) == clear.shape(1) &&
                        reflectance.shape(3) == clear.shape(2)));
    if (!fits) throw nb::value_error("shapes do not fit");
    const Masker masker = CROPCUBE_FUNCTION(Masker, clear_mask, variant);
    const ClearMask work{quality.data(), height, width, kind.data(), radius, row, col, rows, cols, repeats,
                         reflectance.data(), reflectance.shape(1), reinterpret_cast<std::uint8_t*>(clear.data())};
    nb::gil_scoped_release release;
    std::vector<std::vector<std::uint8_t>> held(std::max<std::size_t>(1, threads));
    share(dates, threads, [&](std::size_t thread, std::size_t date) {
        held[thread].resize(mask_scratch(width, radius, rows, cols));
        masker(work, date, held[thread].data());
    });
}

}  // namespace

void bind_clear_mask(nb::module_& module) {
    module.def("clear_mask", &clear_mask, nb::arg("quality").noconvert(), nb::arg("kind").noconvert(), nb::arg("radius"),
               nb::arg("row"), nb::arg("col"), nb::arg("repeats"), nb::arg("reflectance").noconvert(),
               nb::arg("clear").noconvert(), nb::arg("threads"), nb::arg("variant"),
               "Write where pixels are clear into `clear`.");
}

}  // namespace cropcube
