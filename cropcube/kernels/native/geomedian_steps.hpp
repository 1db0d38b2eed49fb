// The geometric median of a pixel's observations: the vector of bands with the least sum of distances to them.
//
// Weiszfeld's steps from the mean, as Vardi and Zhang (2000, PNAS 97) mend them where an observation is met: each goes to
// the mean of the observations weighed by one over their distances. They are many where the observations lie near a line,
// so each but the first is prolonged by what the one before it tells (Anderson 1965, J. ACM 12(4), of depth one); where
// that raises the sum, the search goes on from the step's own end, which never does, and reaches less far. Now and then
// the observation that is nearest is tried: towards it steps would never end.
// float32, sums in the order of dates and bands.
#pragma once

#include "floats.hpp"

namespace cropcube {

constexpr std::size_t MOST_BANDS = 16;  // whose sums are held at once
constexpr int MOST_MOVES = 100;
constexpr float SETTLED = 0.02f;  // length of a step, in the values' unit, that ends the search
constexpr float LONGEST_REACH = 50.0f;  // times a step that it is prolonged by, at first
constexpr float RAISED = 1.00001f;      // times the least sum so far: more than rounding adds
// Within this distance an observation is met. Nearer ones would weigh so much that steps end beside them though the sum
// falls elsewhere (on a line they did); rounded to integers, the centre is that observation's.
constexpr float MET = 0.25f;

namespace {

template <int BANDS>
struct Geomedian {
    static constexpr int HELD = BANDS > 0 ? BANDS : static_cast<int>(MOST_BANDS);
    int dates, width;  // width: BANDS, or the number of bands where that is 0

    // Where a step from `centre` would go, and the sum of distances there; returns the step's length, 0 where none is left
    // to go.
    template <typename Values>
    CROPCUBE_METHOD Floats step(const Values& values, const Floats* centre, Floats* moved, Floats& sum) const {
        Floats weights = every(0.0f), met = every(0.0f);
        sum = every(0.0f);
        CROPCUBE_UNROLL
        for (int b = 0; b < width; ++b) moved[b] = every(0.0f);
        for (int k = 0; k < dates; ++k) {
            Floats apart[HELD], squares = every(0.0f);
            CROPCUBE_UNROLL
            for (int b = 0; b < width; ++b) {
                apart[b] = values(k, b) - centre[b];
                squares += apart[b] * apart[b];
            }
            const Floats clear = values.clear(k);
            const Where here = below(squares, every(MET * MET));
            const Floats distance = root(squares);
            const Floats weight = pick(here, every(0.0f), clear / distance);
            sum += clear * distance;
            met += pick(here, clear, every(0.0f));
            weights += weight;
            CROPCUBE_UNROLL
            for (int b = 0; b < width; ++b) moved[b] += weight * apart[b];
        }
        Floats squares = every(0.0f);
        CROPCUBE_UNROLL
        for (int b = 0; b < width; ++b) squares += moved[b] * moved[b];
        const Floats strength = root(squares);
        // An observation that is met holds back as much as it weighs; all of the pull, where that is less.
        const Floats left = pick(below(met, strength), strength - met, every(0.0f));
        const Where done = nothing(left);
        const Floats length = pick(done, every(0.0f), left / weights);
        const Floats part = pick(done, every(0.0f), length / strength);
        CROPCUBE_UNROLL
        for (int b = 0; b < width; ++b) moved[b] *= part;
        return length;
    }

    // The clear observation that is nearest to `centre`.
    template <typename Values>
    CROPCUBE_METHOD void nearest(const Values& values, const Floats* centre, Floats* found) const {
        Floats least = every(3e38f);
        for (int k = 0; k < dates; ++k) {
            Floats squares = every(0.0f);
            CROPCUBE_UNROLL
            for (int b = 0; b < width; ++b) {
                const Floats apart = values(k, b) - centre[b];
                squares += apart * apart;
            }
            squares = pick(nothing(values.clear(k)), every(3e38f), squares);
            const Where nearer = below(squares, least);
            least = pick(nearer, squares, least);
            CROPCUBE_UNROLL
            for (int b = 0; b < width; ++b) found[b] = pick(nearer, values(k, b), found[b]);
        }
    }

    // Leaves the geometric median in `centre`; 0 in all bands where nothing is clear. `values` has operator()(date, band)
    // and clear(date): 1 or 0.
    template <typename Values>
    CROPCUBE_METHOD void find(const Values& values, Floats* centre) const {
        Floats number = every(0.0f);
        CROPCUBE_UNROLL
        for (int b = 0; b < width; ++b) centre[b] = every(0.0f);
        for (int k = 0; k < dates; ++k) {
            const Floats clear = values.clear(k);
            number += clear;
            CROPCUBE_UNROLL
            for (int b = 0; b < width; ++b) centre[b] += clear * values(k, b);
        }
        const Floats share = every(1.0f) / pick(nothing(number), every(1.0f), number);
        CROPCUBE_UNROLL
        for (int b = 0; b < width; ++b) centre[b] *= share;
        Floats moved[HELD], moved_before[HELD], reached_before[HELD], length_before = every(0.0f);
        Floats farthest = every(LONGEST_REACH), reach_before = every(0.0f), least = every(3e38f), sum;
        CROPCUBE_UNROLL
        for (int b = 0; b < width; ++b) moved_before[b] = reached_before[b] = every(0.0f);
        Where moving = below(every(1.0f), number);
        for (int move = 0; move < MOST_MOVES && any(moving); ++move) {
            const Floats length = step(values, centre, moved, sum);
            const Where raised = below(least * every(RAISED), sum) & ~nothing(reach_before);
            least = pick(below(sum, least), sum, least);
            Floats along = every(0.0f), squares = every(0.0f);
            CROPCUBE_UNROLL
            for (int b = 0; b < width; ++b) {
                const Floats change = moved[b] - moved_before[b];
                along += change * moved[b];
                squares += change * change;
            }
            const Where shorter = below(length, length_before), same = nothing(squares);
            Floats reach = pick(shorter, along / pick(same, every(1.0f), squares), every(0.0f));
            reach = pick(below(reach, -farthest), -farthest, reach);
            reach = pick(below(every(1.0f), reach), every(1.0f), reach);
            reach = pick(below(every(SETTLED), length), reach, every(0.0f));
            CROPCUBE_UNROLL
            for (int b = 0; b < width; ++b) {
                const Floats reached = centre[b] + moved[b];
                const Floats prolonged = reached - reach * (reached - reached_before[b]);
                centre[b] = pick(moving, pick(raised, reached_before[b], prolonged), centre[b]);
                reached_before[b] = pick(raised, reached_before[b], reached);
                moved_before[b] = pick(raised, moved_before[b], moved[b]);
            }
            const Floats less = every(0.25f) * pick(below(reach_before, every(0.0f)), -reach_before, reach_before);
            farthest = pick(raised, pick(below(every(1.0f), less), less, every(1.0f)), farthest);
            reach_before = pick(raised, every(0.0f), reach);
            length_before = pick(raised, every(0.0f), length);
            moving &= raised | below(every(SETTLED), length);
            if ((move == 4 || move == 12 || move == 28 || move == 60) && any(moving)) {
                Floats trial[HELD];
                CROPCUBE_UNROLL
                for (int b = 0; b < width; ++b) trial[b] = centre[b];
                nearest(values, centre, trial);
                const Where best = nothing(step(values, trial, moved, sum)) & moving;
                CROPCUBE_UNROLL
                for (int b = 0; b < width; ++b) centre[b] = pick(best, trial[b], centre[b]);
                moving &= ~best;
            }
        }
    }
};

}  // namespace
}  // namespace cropcube
