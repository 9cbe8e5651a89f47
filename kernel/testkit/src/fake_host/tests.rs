//! Each rule of the waist, shown on small extensions.

mod addressing;
mod cancelling;
mod faults;
mod killing;
mod left_alone;
mod smallest;
mod streams;
mod toy;
