//! What people take away: pictures, .npy, judged tables, the screen as SVG.

pub mod svg;
