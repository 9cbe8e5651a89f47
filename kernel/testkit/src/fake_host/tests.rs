//! Each rule of the waist, shown on small extensions.

mod addressing;
mod smallest;
mod toy;
