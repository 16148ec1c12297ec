//! The built-in augmentations, one file each.
//!
//! Defaults are those of BYOL's own code; where other papers' code differs, the other way is a parameter. An operator
//! draws the same numbers in the same order whatever its parameters, so that two arms of a study that
//! differ in one parameter stay paired.

mod center_crop;
mod color;
mod color_jitter;
mod gaussian_blur;
mod grayscale;
mod horizontal_flip;
mod jigsaw;
mod randaugment;
mod random_resized_crop;
mod resample;
mod resize;
mod solarize;
#[cfg(test)]
mod testing;

diptych_sdk::export_plugin! {
    augmentations: [
        random_resized_crop::RandomResizedCrop,
        horizontal_flip::HorizontalFlip,
        color_jitter::ColorJitter,
        grayscale::Grayscale,
        gaussian_blur::GaussianBlur,
        solarize::Solarize,
        resize::Resize,
        center_crop::CenterCrop,
        randaugment::RandAugment,
        jigsaw::Jigsaw,
    ],
}
