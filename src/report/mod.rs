//! What people take away: pictures, .npy, judged tables, the screen as SVG.

pub mod judge;
mod nab;
mod ranking;
pub mod table;
