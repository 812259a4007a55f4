//! A question that waits for yes or no, over the middle of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::tui::state::{Question, UiState};
use crate::tui::text::{short, wrap};
use crate::tui::theme::Theme;

use super::pen::{Pen, boxed};

/// Most columns of the box.
const WIDEST: u16 = 76;
/// Lines of the border and of the keys.
const FRAME: u16 = 3;

/// Draws the question, if there is one.
///
/// ```text
/// ╭ Mark anomaly 42 as a false alarm? ───────────────────╮
/// │ web-1: open, since 18 Nov 13:53, 8 min so far        │
/// │ latency 61 %, cpu 24 %                               │
/// │                                                      │
/// │ Replaying stored data: 7 of 9 incidents would go, 1  │
/// │ real one lost. Threshold 1.00× → 1.40× the …         │
/// │                                                      │
/// │ y Enter yes   n Esc no                               │
/// ╰──────────────────────────────────────────────────────╯
/// ```
pub fn draw(state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let Some(question) = &state.question else {
        return;
    };
    let wide = area.width.min(WIDEST);
    let lines = lines(
        question,
        wide.saturating_sub(4),
        area.height.saturating_sub(FRAME),
    );
    let high = short(lines.len()).saturating_add(FRAME).min(area.height);
    let spot = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    super::clear(buffer, spot, theme);
    buffer.set_style(spot, theme.over);
    let title = [Span::styled(question.text.clone(), theme.strong)];
    let inner = boxed(buffer, spot, theme.accent, &title, Vec::new());
    for (row, (line, answer)) in (0_u16..).zip(&lines) {
        let style = if *answer { theme.strong } else { theme.text };
        Pen::on(buffer, inner, row)
            .skip(1)
            .say(line, style.patch(theme.over));
    }
    keys(
        theme,
        &mut Pen::on(buffer, inner, inner.height.saturating_sub(1)),
    );
}

/// The only keys that do something while a question waits.
pub fn keys(theme: &Theme, pen: &mut Pen<'_>) {
    pen.skip(1)
        .say("y Enter", theme.accent)
        .say(" yes   ", theme.dim)
        .say("n Esc", theme.accent)
        .say(" no", theme.dim);
}

/// The lines of the box, and whether each belongs to the last paragraph: what an answer rests on. It is set off by a
/// blank; where there is no room for all, blanks go first and then what comes before it.
fn lines(question: &Question, columns: u16, rows: u16) -> Vec<(String, bool)> {
    let rows = usize::from(rows);
    let Some((last, before)) = question.detail.split_last() else {
        return Vec::new();
    };
    let parts = |text: &String, answer| {
        let wrapped = wrap(text, columns).into_iter();
        wrapped.map(move |line| (line, answer))
    };
    let mut about: Vec<_> = before.iter().flat_map(|text| parts(text, false)).collect();
    let answer: Vec<_> = parts(last, !before.is_empty()).collect();
    let blank = || (String::new(), false);
    let spare = rows.saturating_sub(about.len() + answer.len());
    let between = usize::from(!about.is_empty());
    if spare >= between {
        about.extend((0..between).map(|_| blank()));
    } else {
        about.truncate(rows.saturating_sub(answer.len()));
    }
    about.extend(answer);
    about.truncate(rows);
    if about.len() < rows {
        about.push(blank());
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Command;

    fn question(detail: &[&str]) -> Question {
        Question {
            text: "Go on?".into(),
            detail: detail.iter().map(|line| (*line).to_owned()).collect(),
            command: Command::Shutdown,
            said: String::new(),
            ticket: None,
        }
    }

    #[test]
    fn what_the_answer_rests_on_gives_way_last() {
        let asked = question(&["who and when", "parts", "the effect of it"]);
        let words = |rows| -> Vec<String> {
            let found = lines(&asked, 30, rows).into_iter();
            found.map(|(line, _)| line).collect()
        };
        assert_eq!(
            words(9),
            ["who and when", "parts", "", "the effect of it", ""]
        );
        assert_eq!(words(3), ["who and when", "parts", "the effect of it"]);
        assert_eq!(words(2), ["who and when", "the effect of it"]);
        assert_eq!(words(1), ["the effect of it"]);
        assert!(lines(&question(&[]), 30, 3).is_empty());
    }
}
