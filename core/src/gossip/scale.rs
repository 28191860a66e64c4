//! Logarithms of small numbers, from a table, so that every machine has the same.

/// 1,000 · log10(n), rounded down; 0 for 0.
pub(super) fn log10_milli(n: usize) -> u64 {
    let mut rest = u64::try_from(n).unwrap_or(u64::MAX);
    let mut whole = 0;
    while rest >= 10_000 {
        rest /= 10;
        whole += 1_000;
    }
    // The table has steps of a tenth of a decade; linear in between is near enough for waits.
    let at = STEPS.partition_point(|(from, _)| *from <= rest);
    let Some((low, value)) = at.checked_sub(1).and_then(|at| STEPS.get(at)) else { return 0 };
    let next = STEPS.get(at).unwrap_or(&(10_000, 4_000));
    whole + value + (rest - low) * (next.1 - value) / (next.0 - low).max(1)
}

/// So many decades, rounded up: ceil(log10(n + 1)).
pub(super) fn decades(n: usize) -> u64 {
    n.checked_ilog10().map_or(1, |below| u64::from(below) + 1)
}

/// n, and 1,000 · log10(n).
const STEPS: [(u64, u64); 29] = [
    (1, 0),
    (2, 301),
    (3, 477),
    (4, 602),
    (5, 698),
    (6, 778),
    (7, 845),
    (8, 903),
    (9, 954),
    (10, 1_000),
    (15, 1_176),
    (20, 1_301),
    (30, 1_477),
    (40, 1_602),
    (50, 1_698),
    (70, 1_845),
    (100, 2_000),
    (150, 2_176),
    (200, 2_301),
    (300, 2_477),
    (500, 2_698),
    (700, 2_845),
    (1_000, 3_000),
    (1_500, 3_176),
    (2_000, 3_301),
    (3_000, 3_477),
    (5_000, 3_698),
    (7_000, 3_845),
    (9_999, 3_999),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_rise_and_are_near_enough() {
        let mut before = 0;
        for n in 1..20_000_usize {
            let got = log10_milli(n);
            assert!(got >= before, "{n}");
            before = got;
            let exact = f64::from(u32::try_from(n).unwrap()).log10() * 1_000.0;
            let off = (f64::from(u32::try_from(got).unwrap()) - exact).abs();
            assert!(off < 25.0, "{n}: {got} and not {exact}");
        }
    }

    #[test]
    fn decades_are_rounded_up() {
        let cases = [(0, 1), (1, 1), (9, 1), (10, 2), (99, 2), (100, 3), (999, 3), (1_000, 4)];
        for (n, expected) in cases {
            assert_eq!(decades(n), expected, "{n}");
        }
    }
}
