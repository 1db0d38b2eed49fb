// Least squares of one pixel, or of as many as a register holds, from the sums over its clear dates.
//
// The mask is shared by all bands, so a pixel has one normal matrix; it is inverted once and serves every band. All in
// double: the normal matrix has the square of the design's condition number, and 1e6 of that still leaves four digits.
#pragma once

#include "lanes.hpp"

namespace cropcube {

constexpr int MOST_TERMS = 21;  // ten harmonics and a constant

namespace {

// A `Matrix` is whatever is indexed by row and column, and passed by value: where it lies is the dialect's affair.

// Number of columns that a design of `terms` needs: the terms but the constant, then the products of two of them.
CROPCUBE_CONSTANT int columns_of(int terms) { return terms - 1 + terms * (terms - 1) / 2; }

// The normal matrix of clear dates, from their number and the sums of the columns, with the ridge on its diagonal.
template <typename Number, typename Matrix>
CROPCUBE_INLINE void fill_normal(const Number* sums, double ridge, int terms, Matrix normal) {
    CROPCUBE_UNROLL
    for (int k = 0; k < terms; ++k) normal[0][k] = normal[k][0] = sums[k];
    const Number* product = sums + terms;
    CROPCUBE_UNROLL
    for (int k = 1; k < terms; ++k) {
        CROPCUBE_UNROLL
        for (int l = k; l < terms; ++l) normal[k][l] = normal[l][k] = *product++;
        normal[k][k] = normal[k][k] + ridge;
    }
}

template <typename Number, typename Matrix>
CROPCUBE_INLINE Number squares(int terms, Matrix matrix) {
    Number sum = Number{};
    CROPCUBE_UNROLL
    for (int k = 0; k < terms; ++k) {
        CROPCUBE_UNROLL
        for (int l = 0; l < terms; ++l) sum = sum + matrix[k][l] * matrix[k][l];
    }
    return sum;
}

// Inverts a symmetric positive definite matrix in place by Gauss-Jordan elimination, which needs no pivoting for these;
// a pivot that vanishes leaves NaN.
template <int TERMS, typename Number, typename Matrix>
CROPCUBE_INLINE void invert(int terms, Matrix matrix) {
    Number whole[TERMS];
    CROPCUBE_UNROLL
    for (int k = 0; k < terms; ++k) whole[k] = matrix[k][k];
    const Number nothing = Number{} + NAN, one = Number{} + 1.0;
    CROPCUBE_UNROLL
    for (int k = 0; k < terms; ++k) {
        const Number pivot = one / (matrix[k][k] > 1e-15 * whole[k] ? matrix[k][k] : nothing);
        matrix[k][k] = one;
        CROPCUBE_UNROLL
        for (int l = 0; l < terms; ++l) matrix[k][l] = matrix[k][l] * pivot;
        CROPCUBE_UNROLL
        for (int r = 0; r < terms; ++r) {
            if (r == k) continue;
            const Number factor = matrix[r][k];
            matrix[r][k] = Number{};
            CROPCUBE_UNROLL
            for (int l = 0; l < terms; ++l) matrix[r][l] = matrix[r][l] - factor * matrix[k][l];
        }
    }
}

// One rotation of Jacobi's method: makes matrix[p][q] vanish and turns the columns p and q of `vectors`.
template <int TERMS>
CROPCUBE_SELDOM void rotate(int terms, double (*matrix)[TERMS], double (*vectors)[TERMS], int p, int q) {
    const double theta = (matrix[q][q] - matrix[p][p]) / (2 * matrix[p][q]);
    const double t = (theta < 0 ? -1.0 : 1.0) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
    const double c = 1 / std::sqrt(t * t + 1), s = t * c;
    for (int k = 0; k < terms; ++k) {
        const double left = matrix[k][p], right = matrix[k][q];
        matrix[k][p] = c * left - s * right;
        matrix[k][q] = s * left + c * right;
    }
    for (int k = 0; k < terms; ++k) {
        const double left = matrix[p][k], right = matrix[q][k];
        matrix[p][k] = c * left - s * right;
        matrix[q][k] = s * left + c * right;
        const double first = vectors[k][p], second = vectors[k][q];
        vectors[k][p] = c * first - s * second;
        vectors[k][q] = s * first + c * second;
    }
}

// Inverts one symmetric matrix by its eigenvalues (Jacobi's method; Golub and Van Loan, Matrix Computations, 8.5), or
// fills it with NaN where the condition number is over the limit.
template <int TERMS>
CROPCUBE_SELDOM void invert_within(int terms, double limit, double (*matrix)[TERMS]) {
    double vectors[TERMS][TERMS] = {}, whole = 0, least = INFINITY, largest = -INFINITY;
    for (int k = 0; k < terms; ++k) {
        vectors[k][k] = 1;
        for (int l = 0; l < terms; ++l) whole += matrix[k][l] * matrix[k][l];
    }
    for (int sweep = 0; sweep < 60; ++sweep) {
        double off = 0;
        for (int p = 0; p < terms; ++p) {
            for (int q = p + 1; q < terms; ++q) off += matrix[p][q] * matrix[p][q];
        }
        if (off <= 1e-40 * whole) break;
        for (int p = 0; p < terms; ++p) {
            for (int q = p + 1; q < terms; ++q) {
                if (matrix[p][q] != 0) rotate<TERMS>(terms, matrix, vectors, p, q);
            }
        }
    }
    double inverse[TERMS];
    for (int k = 0; k < terms; ++k) {
        least = matrix[k][k] < least ? matrix[k][k] : least;
        largest = matrix[k][k] > largest ? matrix[k][k] : largest;
        inverse[k] = 1 / matrix[k][k];
    }
    const bool sound = least * limit > largest;
    for (int k = 0; k < terms; ++k) {
        for (int l = 0; l < terms; ++l) {
            double sum = 0;
            for (int m = 0; m < terms; ++m) sum += vectors[k][m] * inverse[m] * vectors[l][m];
            matrix[k][l] = sound ? sum : NAN;
        }
    }
}

// Makes the inverse of the normal matrix of each pixel of one register; those that may be near singular one by one.
template <int TERMS, typename Matrix>
CROPCUBE_INLINE void invert_normal(int terms, double ridge, double limit, const Doubles* sums, Matrix matrix) {
    fill_normal(sums, ridge, terms, matrix);
    Doubles bound = squares<Doubles>(terms, matrix);
    invert<TERMS, Doubles>(terms, matrix);
    // The product of the Frobenius norms is at least the condition number: only what it does not clear is looked at.
    bound = bound * squares<Doubles>(terms, matrix);
    Doubles clear = sums[0];
    for (std::size_t n = 0; n < DOUBLES; ++n) {
        const bool few = lane(clear, n) < terms - 0.5;
        if (!few && lane(bound, n) < limit * limit) continue;
        double one[TERMS][TERMS], own[TERMS * (TERMS + 1) / 2 + TERMS];
        for (int j = 0; j < columns_of(terms) + 1; ++j) {
            Doubles sum = sums[j];
            own[j] = lane(sum, n);
        }
        fill_normal(static_cast<const double*>(own), ridge, terms, &one[0]);
        if (!few) invert_within<TERMS>(terms, limit, one);
        for (int k = 0; k < terms; ++k) {
            for (int l = 0; l < terms; ++l) lane(matrix[k][l], n) = few ? NAN : one[k][l];
        }
    }
}

// Coefficients of one band from its sums (values, values times each term): `right` is what they become. Returns the
// mean squared residual. Fitted about the mean, so that a large constant does not drown a small wave. `clear_sums` is
// whatever can be indexed.
template <int TERMS, typename Number, typename Sums, typename Matrix>
CROPCUBE_INLINE Number solve(int terms, double ridge, const Sums& clear_sums, Matrix inverse, Number squared,
                             Number* right) {
    const Number one = Number{} + 1.0, clear = clear_sums[0] < one ? one : clear_sums[0];
    const Number total = right[0], mean = total / clear;
    CROPCUBE_UNROLL
    for (int k = 0; k < terms; ++k) right[k] = right[k] - clear_sums[k] * mean;
    Number coefficient[TERMS], explained = Number{}, penalty = Number{};
    CROPCUBE_UNROLL
    for (int k = 0; k < terms; ++k) {
        Number sum = inverse[k][0] * right[0];
        CROPCUBE_UNROLL
        for (int l = 1; l < terms; ++l) sum = sum + inverse[k][l] * right[l];
        coefficient[k] = sum;
        explained = explained + sum * right[k];
        if (k > 0) penalty = penalty + sum * sum;
    }
    CROPCUBE_UNROLL
    for (int k = 0; k < terms; ++k) right[k] = coefficient[k];
    right[0] = right[0] + mean;
    const Number left = squared - total * mean - explained - ridge * penalty;
    return (left < Number{} ? Number{} : left) / clear;
}

}  // namespace
}  // namespace cropcube
