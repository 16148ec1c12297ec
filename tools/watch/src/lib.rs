//! A run or a study as a web page that updates by itself, for who sits at this machine.
//!
//! Lifecycle: [`Server::bind`] looks at the folder and takes a port of the loopback interface; [`Server::serve`] answers until it is told
//! to stop. A page asks again and again for what changed; only then are the folder's files read.
//!
//! Invariants: nothing is ever written, and no path comes from outside: routes are fixed, and a run is found by comparing ids. Requests
//! under another host's name are refused, so that no page from elsewhere reads along (DNS rebinding), and pages load nothing from anywhere else.

mod charts;
mod facts;
mod route;
mod server;
mod site;

pub use server::Server;
