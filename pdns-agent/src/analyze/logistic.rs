//! Logistic regression over a few scores: it turns them into log-odds that mean what they say.

/// Steps of Newton's method; it converges in fewer.
const STEPS: usize = 15;
/// Pull of each weight towards zero, which keeps separable data finite.
const RIDGE: f64 = 1.0;

/// A constant and one weight for each of `D - 1` scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Logistic<const D: usize>(pub(crate) [f64; D]);

/// One example: the constant 1 and the scores, the class, the weight.
pub(crate) type Row<const D: usize> = ([f64; D], bool, f64);

/// The probability that log-odds stand for.
pub(crate) fn sigmoid(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}

/// The log-odds of a probability, limited to those of a millionth.
pub(crate) fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

impl<const D: usize> Logistic<D> {
    /// Log-odds of an example, whose first value is the constant 1.
    pub(crate) fn odds(&self, row: &[f64; D]) -> f64 {
        self.0.iter().zip(row).map(|(weight, value)| weight * value).sum()
    }

    /// Fits the weights.
    pub(crate) fn fit(rows: &[Row<D>]) -> Self {
        let mut fitted = Self([0.0; D]);
        for _ in 0..STEPS {
            let mut gradient = [0.0; D];
            let mut curvature = [[0.0; D]; D];
            for (row, class, weight) in rows {
                let p = sigmoid(fitted.odds(row));
                let error = (p - f64::from(u8::from(*class))) * weight;
                let slope = p * (1.0 - p) * weight;
                for ((value, sum), line) in row.iter().zip(&mut gradient).zip(&mut curvature) {
                    *sum += error * value;
                    for (other, cell) in row.iter().zip(line) {
                        *cell += slope * value * other;
                    }
                }
            }
            for (place, ((sum, line), weight)) in
                gradient.iter_mut().zip(&mut curvature).zip(&fitted.0).enumerate()
            {
                *sum += RIDGE * weight;
                if let Some(cell) = line.get_mut(place) {
                    *cell += RIDGE;
                }
            }
            let step = solve(curvature, gradient);
            for (weight, step) in fitted.0.iter_mut().zip(step) {
                *weight -= step;
            }
        }
        fitted
    }
}

/// Solves a symmetric positive definite system by Gaussian elimination.
fn solve<const D: usize>(mut matrix: [[f64; D]; D], mut right: [f64; D]) -> [f64; D] {
    let cell = |matrix: &[[f64; D]; D], row: usize, column: usize| {
        matrix.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0.0)
    };
    let entry = |vector: &[f64; D], place: usize| vector.get(place).copied().unwrap_or(0.0);
    for pivot in 0..D {
        let Some(line) = matrix.get(pivot).copied() else { continue };
        let scale = cell(&matrix, pivot, pivot);
        let value = entry(&right, pivot);
        for (row, other) in right.iter_mut().zip(&mut matrix).skip(pivot + 1).map(|(v, m)| (m, v)) {
            let factor = row.get(pivot).copied().unwrap_or(0.0) / scale;
            for (to, from) in row.iter_mut().zip(&line) {
                *to -= factor * from;
            }
            *other -= factor * value;
        }
    }
    for row in (0..D).rev() {
        let known: f64 =
            (row + 1..D).map(|column| cell(&matrix, row, column) * entry(&right, column)).sum();
        let value = (entry(&right, row) - known) / cell(&matrix, row, row);
        if let Some(place) = right.get_mut(row) {
            *place = value;
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_system_and_known_odds() {
        let [one, three] = solve([[2.0, 1.0], [1.0, 3.0]], [5.0, 10.0]);
        assert!((one - 1.0).abs() < 1e-9 && (three - 3.0).abs() < 1e-9, "{one} {three}");
        // Of the rows with score 1 three in four are bad, of those with score 0 one in four: odds of 3 and 1/3.
        let row = |score: f64, class, weight| ([1.0, score], class, weight);
        let rows =
            [row(1.0, true, 3e6), row(1.0, false, 1e6), row(0.0, true, 1e6), row(0.0, false, 3e6)];
        let Logistic([constant, weight]) = Logistic::fit(&rows);
        assert!((constant + 3.0_f64.ln()).abs() < 1e-4, "{constant}");
        assert!((weight - 2.0 * 3.0_f64.ln()).abs() < 1e-4, "{weight}");
        assert!((sigmoid(logit(0.9)) - 0.9).abs() < 1e-12);
    }

    #[test]
    fn separable_rows_stay_finite() {
        let rows: Vec<Row<2>> = (0..100_u8).map(|n| ([1.0, f64::from(n)], n >= 50, 1.0)).collect();
        assert!(Logistic::fit(&rows).0.iter().all(|weight| weight.is_finite()));
    }
}
