//! The built-in encoders.

mod initialize;
mod norm;
#[cfg(test)]
mod reference;
mod resnet;
mod small_cnn;
mod torchscript;
mod vit;

diptych_sdk_tensor::export_plugin! {
    encoders: [
        resnet::ResNet18,
        resnet::ResNet34,
        resnet::ResNet50,
        resnet::ResNet101,
        resnet::ResNet152,
        resnet::ResNet200,
        small_cnn::SmallCnn,
        vit::VitSmall,
        vit::VitBase,
        torchscript::TorchScript,
    ],
}
