//! The built-in losses; one file each.

mod barlow_twins;
mod byol_regression;
mod dino;
mod extended_info_nce;
mod info_nce;
mod normalize;
mod nt_xent;
mod pairs;
mod soft_targets;
mod softmax_consistency;
mod supervised;
mod swav;
#[cfg(test)]
mod testing;
mod vicreg;

diptych_sdk_tensor::export_plugin! {
    losses: [
        byol_regression::ByolRegression,
        nt_xent::NtXent,
        extended_info_nce::ExtendedInfoNce,
        info_nce::InfoNce,
        barlow_twins::BarlowTwins,
        vicreg::VicReg,
        swav::Swav,
        dino::Dino,
        supervised::Supervised,
        softmax_consistency::SoftmaxConsistency,
    ],
}
