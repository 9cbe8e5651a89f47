//! Each rule of the waist, shown on small extensions.

mod addressing;
mod cancelling;
mod faults;
mod killing;
mod smallest;
mod streams;
mod toy;
