using Coppice.Formats;

namespace Coppice.Registry;

/// <summary>What kind of model a graph is, as far as its operators tell.</summary>
public static class ArchitectureFamily
{
    /// <summary>The family in words; null when the operators say nothing, as in a bag of tensors.</summary>
    /// <remarks>Judged by the operators that only one family needs: attention before recurrence before convolution before trees before plain layers.</remarks>
    public static string? Of(ModelFile model)
    {
        if (model.Needs.Architecture is not null) // llama.cpp's architectures are, but for a few state-space models, transformers
            return model.Needs.Architecture is "mamba" or "mamba2" or "rwkv6" or "rwkv7" ? "state space model" : "transformer";
        var operators = model.Needs.Operators.ToLookup(use => use.Name, use => use.Count, StringComparer.OrdinalIgnoreCase);
        var has = (string[] names) => names.Any(operators.Contains);
        // Attention is its own operator, or two products around a softmax.
        if (has(["Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "RotaryEmbedding"])
            || (has(["Softmax"]) && operators["Softmax"].Sum() >= 2 && (operators["MatMul"].Concat(operators["MatMulInteger"]).Concat(operators["BATCH_MATMUL"])).Sum() >= 4 && has(["LayerNormalization", "SkipLayerNormalization", "ReduceMean", "MEAN"])))
            return "transformer";
        if (has(["LSTM", "GRU", "RNN", "UNIDIRECTIONAL_SEQUENCE_LSTM", "DynamicQuantizeLSTM"]))
            return "recurrent neural network";
        if (has(["Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "CONV_2D", "DEPTHWISE_CONV_2D", "FusedConv"]))
            return "convolutional neural network";
        if (has(["TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"]))
            return "tree ensemble";
        if (has(["SVMClassifier", "SVMRegressor"]))
            return "support vector machine";
        if (has(["LinearClassifier", "LinearRegressor"]))
            return "linear model";
        return has(["Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "FULLY_CONNECTED", "QGemm", "DynamicQuantizeMatMul"]) ? "feed-forward neural network" : null;
    }
}
