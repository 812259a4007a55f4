//! The pictures of a training: how the loss fell, and where the threshold lies among the errors.

use plotters::chart::{ChartBuilder, ChartContext, SeriesLabelPosition};
use plotters::coord::Shift;
use plotters::prelude::{
    BitMapBackend, Cartesian2d, Circle, DrawingArea, EmptyElement, IntoDrawingArea, PathElement,
    Rectangle, Text,
};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontStyle, IntoFont, RGBColor, TRANSPARENT, TextStyle, register_font,
};

use super::axis::{Axis, short};

/// Size of every picture in pixels.
const SIZE: (u32, u32) = (900, 540);
const FONT: &str = "pulsewatch";
/// A subset of DejaVu Sans; its licence stands beside it.
static FONT_BYTES: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");

const INK: RGBColor = RGBColor(34, 40, 49);
const FAINT: RGBColor = RGBColor(222, 226, 232);
const BLUE: RGBColor = RGBColor(38, 105, 178);
const ORANGE: RGBColor = RGBColor(222, 126, 24);
const RED: RGBColor = RGBColor(200, 40, 48);
const WHITE: RGBColor = RGBColor(255, 255, 255);

type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<Axis, Axis>>;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// Not one finite number was given.
    #[error("there is nothing to draw: {0}")]
    Empty(&'static str),
    /// The drawing library failed.
    #[error("the picture can't be drawn: {0}")]
    Draw(String),
}

/// How the loss fell while training: one point per epoch, training and validation loss on a logarithmic axis, `best` (an
/// index into `history`) marked. 900 × 540 pixels, PNG. Losses that are not positive numbers are left out.
///
/// # Errors
/// [`PlotError::Empty`] without a single loss to draw; [`PlotError::Draw`] when the drawing library fails.
pub fn loss_png(history: &[(f64, f64)], best: usize) -> Result<Vec<u8>, PlotError> {
    let train = points(history.iter().map(|h| h.0));
    let validation = points(history.iter().map(|h| h.1));
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for (_, loss) in train.iter().chain(&validation) {
        (low, high) = (low.min(*loss), high.max(*loss));
    }
    if high <= 0.0 {
        return Err(PlotError::Empty("the history holds no loss"));
    }
    let marked = history
        .get(best)
        .map(|h| (best as f64 + 1.0, h.1))
        .filter(drawable);
    let title = match marked {
        Some((_, loss)) => format!(
            "Training loss: best validation {} after epoch {}",
            short(loss),
            best + 1
        ),
        None => "Training loss".to_owned(),
    };
    let x = Axis::whole(0.0, history.len() as f64);
    let y = Axis::log(low / 1.15, high * 1.15);
    picture(|canvas| {
        let mut chart = chart(
            canvas,
            &title,
            (x, "epoch"),
            (y, "mean squared error (scaled units\u{b2})"),
        )?;
        curve(&mut chart, train, ORANGE, "training")?;
        curve(&mut chart, validation, BLUE, "validation")?;
        if let Some(best) = marked {
            let dot = Circle::new(best, 6, BLUE.stroke_width(2));
            chart.draw_series([dot]).map_err(failed)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(FAINT)
            .label_font(text(15))
            .margin(12)
            .draw()
            .map_err(failed)
    })
}

/// Where the errors of windows lie, with the threshold drawn in and what is over it in red; the error axis is logarithmic
/// when the tail is long. 900 × 540 pixels, PNG. A bar that stands for at least one window is at least two pixels high.
/// Errors that are not finite are left out, as is a threshold that is no positive number.
///
/// # Errors
/// [`PlotError::Empty`] without a single error to draw; [`PlotError::Draw`] when the drawing library fails.
pub fn histogram_png(errors: &[f64], threshold: f64) -> Result<Vec<u8>, PlotError> {
    let mut errors: Vec<f64> = errors.iter().copied().filter(|e| e.is_finite()).collect();
    if errors.is_empty() {
        return Err(PlotError::Empty("there is no reconstruction error"));
    }
    errors.sort_unstable_by(f64::total_cmp);
    let threshold = (threshold.is_finite() && threshold > 0.0).then_some(threshold);
    let bins = Bins::of(&errors, threshold);
    let over = threshold.map(|t| errors.iter().filter(|e| **e > t).count());
    let title = match over {
        Some(over) => format!(
            "Reconstruction error of {} windows: {} over the threshold",
            grouped(errors.len()),
            grouped(over)
        ),
        None => format!("Reconstruction error of {} windows", grouped(errors.len())),
    };
    let highest = bins.counts.iter().copied().max().unwrap_or(1) as f64;
    let y = Axis::whole(0.0, highest * 1.15);
    picture(|canvas| {
        let mut chart = chart(
            canvas,
            &title,
            (
                bins.axis,
                "mean squared error of a window (scaled units\u{b2})",
            ),
            (y, "windows"),
        )?;
        bars(&mut chart, &bins, y)?;
        match threshold {
            Some(threshold) => threshold_line(&mut chart, threshold, bins.axis, y),
            None => Ok(()),
        }
    })
}

/// Bars aimed at.
const BARS: f64 = 60.0;

/// Counts between evenly spaced edges of an axis; the threshold is one of the edges.
struct Bins {
    axis: Axis,
    counts: Vec<usize>,
    /// Bars below this one are not over the threshold.
    first_over: usize,
}

impl Bins {
    /// `errors` are sorted and not empty.
    // The numbers of bars are small and positive.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn of(errors: &[f64], threshold: Option<f64>) -> Self {
        let axis = error_axis(errors, threshold);
        let (below, width) = match threshold.map(|t| axis.part(t)) {
            Some(part) if part > 0.0 => {
                let below = (part * BARS).round().max(1.0);
                // Very near the low end it would ask for more bars than the picture has columns.
                (below, (part / below).max(0.25 / BARS))
            }
            Some(_) => (0.0, 1.0 / BARS),
            None => (f64::INFINITY, 1.0 / BARS),
        };
        let bars = (1.0 / width - 1e-9).ceil();
        let axis = axis.until(bars * width);
        let first_over = below.min(bars) as usize;
        let mut counts = vec![0; bars as usize];
        for error in errors {
            let bar = (axis.part(*error) * bars).floor().min(bars - 1.0) as usize;
            let bar = match threshold {
                Some(t) if *error > t => bar.max(first_over),
                Some(_) => bar.min(first_over.saturating_sub(1)),
                None => bar,
            };
            if let Some(count) = counts.get_mut(bar) {
                *count += 1;
            }
        }
        Self {
            axis,
            counts,
            first_over,
        }
    }
}

/// Linear from 0 for errors of about one size; logarithmic when the largest is 20 times the median or more.
fn error_axis(errors: &[f64], threshold: Option<f64>) -> Axis {
    let largest = errors.last().copied().unwrap_or(0.0);
    let high = threshold.map_or(largest, |t| largest.max(t * 1.1));
    let median = errors.get(errors.len() / 2).copied().unwrap_or(0.0);
    let smallest = errors.iter().copied().find(|e| *e > 0.0);
    match smallest {
        Some(smallest) if high > 20.0 * median => {
            let low = threshold.map_or(smallest, |t| smallest.min(t / 2.0));
            // Errors of almost nothing would take the whole picture.
            Axis::log(low.max(high * 1e-6), high)
        }
        _ => Axis::linear(0.0, high),
    }
}

fn bars(chart: &mut Chart<'_, '_>, bins: &Bins, y: Axis) -> Result<(), PlotError> {
    let count = bins.counts.len() as f64;
    let least = y.at(2.0 / f64::from(chart.plotting_area().dim_in_pixel().1));
    let bars = bins.counts.iter().enumerate().filter(|(_, n)| **n > 0);
    let bars = bars.map(|(index, n)| {
        let from = bins.axis.at(index as f64 / count);
        let to = bins.axis.at((index as f64 + 1.0) / count);
        let colour = if index >= bins.first_over { RED } else { BLUE };
        let mut bar = Rectangle::new([(from, 0.0), (to, least.max(*n as f64))], colour.filled());
        bar.set_margin(0, 0, 0, 1);
        bar
    });
    chart.draw_series(bars).map_err(failed).map(|_| ())
}

fn threshold_line(
    chart: &mut Chart<'_, '_>,
    threshold: f64,
    x: Axis,
    y: Axis,
) -> Result<(), PlotError> {
    let line = PathElement::new(
        [(threshold, 0.0), (threshold, y.at(1.0))],
        RED.stroke_width(2),
    );
    chart.draw_series([line]).map_err(failed)?;
    // The words stand where there is room for them.
    let (side, offset) = if x.part(threshold) > 0.6 {
        (HPos::Right, -8)
    } else {
        (HPos::Left, 8)
    };
    let style = text(15).color(&RED).pos(Pos::new(side, VPos::Top));
    let words = EmptyElement::at((threshold, y.at(0.985)))
        + Text::new(
            format!("threshold {}", short(threshold)),
            (offset, 0),
            style,
        );
    chart.draw_series([words]).map_err(failed).map(|_| ())
}

/// Epochs (from 1) and losses, those that can stand on a logarithmic axis.
fn points(losses: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    losses
        .enumerate()
        .map(|(index, loss)| (index as f64 + 1.0, loss))
        .filter(drawable)
        .collect()
}

fn drawable((_, loss): &(f64, f64)) -> bool {
    loss.is_finite() && *loss > 0.0
}

fn curve(
    chart: &mut Chart<'_, '_>,
    points: Vec<(f64, f64)>,
    colour: RGBColor,
    name: &str,
) -> Result<(), PlotError> {
    // Dots, so that a single epoch shows too.
    let series = LineSeries::new(points, colour.stroke_width(2)).point_size(2);
    chart
        .draw_series(series)
        .map_err(failed)?
        .label(name)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    Ok(())
}

/// Title, axes and grid.
fn chart<'a, 'b>(
    canvas: &'a Canvas<'b>,
    title: &str,
    (x, x_words): (Axis, &str),
    (y, y_words): (Axis, &str),
) -> Result<Chart<'a, 'b>, PlotError> {
    let mut chart = ChartBuilder::on(canvas)
        .caption(title, text(21))
        .margin(14)
        .margin_right(28)
        .x_label_area_size(52)
        .y_label_area_size(76)
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .label_style(text(14))
        .axis_desc_style(text(15))
        .x_desc(x_words)
        .y_desc(y_words)
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

fn text(size: i32) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK)
}

/// Draws on a white canvas and encodes it.
fn picture(draw: impl FnOnce(&Canvas<'_>) -> Result<(), PlotError>) -> Result<Vec<u8>, PlotError> {
    register_font(FONT, FontStyle::Normal, FONT_BYTES)
        .map_err(|_| PlotError::Draw("the built-in font can't be read".into()))?;
    let mut pixels = vec![255; 3 * SIZE.0 as usize * SIZE.1 as usize];
    let canvas = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
    draw(&canvas)?;
    canvas.present().map_err(failed)?;
    drop(canvas);
    encode(&pixels).map_err(failed)
}

fn encode(pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// 12345 as `12,345`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_distr::{Distribution, LogNormal};

    use super::*;

    fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(png).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    fn has(pixels: &[u8], colour: RGBColor) -> bool {
        let wanted = [colour.0, colour.1, colour.2];
        pixels.chunks_exact(3).any(|p| p == wanted)
    }

    fn history() -> Vec<(f64, f64)> {
        (0..40)
            .map(|e| {
                let fall = 0.08 * (-0.15 * f64::from(e)).exp() + 0.002;
                (fall, fall * 1.1 + 0.000_02 * f64::from(e * e % 7))
            })
            .collect()
    }

    fn errors(spread: f64) -> Vec<f64> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let normal = LogNormal::new(-6.9, spread).unwrap();
        (0..1600).map(|_| normal.sample(&mut rng)).collect()
    }

    #[test]
    fn pictures_have_their_size_and_colours_and_the_same_bytes() {
        let loss = loss_png(&history(), 32).unwrap();
        let (width, height, pixels) = decoded(&loss);
        assert_eq!((width, height), SIZE);
        assert!(has(&pixels, ORANGE) && has(&pixels, BLUE) && !has(&pixels, RED));
        assert_eq!(loss, loss_png(&history(), 32).unwrap());

        for spread in [0.3, 1.4] {
            let errors = errors(spread);
            let picture = histogram_png(&errors, 0.0025).unwrap();
            assert!(has(&decoded(&picture).2, BLUE) && has(&decoded(&picture).2, RED));
            assert_eq!(picture, histogram_png(&errors, 0.0025).unwrap());
            let bare = histogram_png(&errors, f64::NAN).unwrap();
            assert!(
                !has(&decoded(&bare).2, RED),
                "no threshold, nothing over it"
            );
        }
    }

    #[test]
    fn odd_input_is_drawn_or_refused_with_words() {
        for history in [
            vec![(0.5, f64::NAN)],
            vec![(0.5, 0.5); 3],
            vec![(f64::NAN, 1e-300), (1e300, 0.0)],
        ] {
            loss_png(&history, 99).unwrap();
        }
        assert!(matches!(loss_png(&[], 0), Err(PlotError::Empty(_))));
        assert!(matches!(
            loss_png(&[(f64::NAN, -1.0)], 0),
            Err(PlotError::Empty(_))
        ));
        assert!(matches!(
            histogram_png(&[f64::INFINITY], 1.0),
            Err(PlotError::Empty(_))
        ));
        for errors in [
            vec![0.0],
            vec![0.0; 9],
            vec![3.0],
            vec![1e-300, 1e300],
            vec![-1.0, 2.0],
        ] {
            for threshold in [f64::NAN, -1.0, 0.0, 1e-308, 0.5, 3.0, 1e308] {
                histogram_png(&errors, threshold).unwrap();
            }
        }
    }

    #[test]
    fn the_threshold_parts_the_bars_exactly() {
        let errors: Vec<f64> = (1..=1000).map(|n| f64::from(n) / 1000.0).collect();
        for threshold in [0.001, 0.0137, 0.5, 0.777, 0.999, 1.0, 4.0] {
            let bins = Bins::of(&errors, Some(threshold));
            let below: usize = bins.counts.iter().take(bins.first_over).sum();
            assert_eq!(below, errors.iter().filter(|e| **e <= threshold).count());
            assert_eq!(bins.counts.iter().sum::<usize>(), errors.len());
        }
    }
}
