using Coppice.Fleet;
using Coppice.Registry;
using Coppice.Server.Fleet;
using Coppice.Server.Storage;

namespace Coppice.Server.Sealing;

/// <summary>Whether a device is given a model's keys.</summary>
static class Entitlement
{
    /// <summary>Why a device is not given the keys; null when it is.</summary>
    /// <param name="device">The device as it is now.</param>
    /// <param name="model">The model.</param>
    /// <param name="policy">What the operator said of the model; null for nothing.</param>
    public static string? Refuse(DeviceRow device, ModelName model, SealedModelRow? policy)
    {
        if (policy is null)
            return $"no device is entitled to {model}; say which are with 'coppice model seal {model} --for SELECTOR'.";
        // Labels alone: what a device says of itself may not decide what it can read.
        var labels = new FactSet(FactSet.OfLabels(StoredText.Texts(device.Labels)));
        return Selector.TryParse(policy.Selector, out var selector, out _) && selector.Matches(labels)
            ? null
            : $"'{device.Id}' is not among the devices that are entitled to {model}.";
    }
}
