//! Golden screens, key sequences and odd sizes: the dashboard without a terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "screens/fixture.rs"]
mod fixture;
#[path = "screens/scene.rs"]
mod scene;

#[test]
fn pictures_for_looking() {
    use pulsewatch::config::ThemeName;
    use pulsewatch::tui::ColorDepth;
    let Ok(folder) = std::env::var("SCREENS_TO") else { return };
    for scene in scene::all() {
        for (w, h) in [(200, 60), (120, 40), (80, 24), (40, 10)] {
            for (theme, depth, tag) in [
                (ThemeName::Dark, ColorDepth::True, "dark"),
                (ThemeName::Light, ColorDepth::True, "light"),
                (ThemeName::Dark, ColorDepth::Ansi16, "16"),
                (ThemeName::Dark, ColorDepth::None, "mono"),
            ] {
                if tag != "dark" && (w != 120 || !["incident", "long_term"].contains(&scene.name)) { continue }
                let b = scene.draw(w, h, theme, depth);
                std::fs::write(format!("{folder}/{}-{w}x{h}-{tag}.svg", scene.name), pulsewatch::report::svg::svg(&b)).unwrap();
            }
        }
    }
}
